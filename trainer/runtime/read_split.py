"""The split of a run's events in memory, with the same methods as `PreparedSplit`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pyarrow as pa

from catalog.data.events import drop_unknown_items
from catalog.data.items import Items
from catalog.data.tombstones import ERASED, read_kept_events
from trainer.config.recipe import Recipe
from trainer.data.histories import Histories
from trainer.data.questions import Split
from trainer.data.splits import SPLITS
from trainer.runtime.workspace import Workspace

__all__ = ["ReadSplit"]


class ReadSplit:
    """The split of files of events that the recipe names.

    file_items: reads the file of items, where it is needed.
    report: what was read, and what was left out; whole once `of_catalog` was called.
    erased: how many events were left out because their users were erased.
    """

    def __init__(
        self,
        events: Sequence[Path],
        tombstones: Sequence[Path],
        file_items: Callable[[], Items],
        recipe: Recipe,
        workspace: Workspace,
    ) -> None:
        self._events, self._report = read_kept_events(events, tombstones)
        workspace.check_inputs()
        self._file_items, self._recipe = file_items, recipe
        self.erased = self._report.omitted(ERASED)

    @property
    def report(self) -> str:
        return str(self._report)

    def of_file(self) -> Split:
        """The split whose items are numbered as in the file of items."""
        return self._split(self._events, self._file_items())

    def of_catalog(self, items: Items) -> Split:
        """The split whose items are numbered as in the catalog."""
        known = drop_unknown_items(self._events, items.table["item_id"], self._report, fault=False)
        return self._split(known, items)

    def _split(self, events: pa.Table, items: Items) -> Split:
        histories = Histories.from_events(events, items, weights=self._recipe.events.event_weights)
        return SPLITS[self._recipe.evaluation.split](histories)
