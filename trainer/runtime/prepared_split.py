"""The split of a run's events on disk, made once for the same files: all its ranks and later runs map it into memory.

    <out>/.training/prepared-<digest of the inputs>/
      full/                     the histories of all events, whose items are numbered as in the file of items
      leave_one_out/ time_cut/  what each split makes of them
    <out>/.training/<fingerprint>/histories/
      full.i64, train.i64       the items of both, numbered as in the catalog

What was cut is made again; what no run has used for a week is removed when another is made.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np

from catalog.data.items import Items
from catalog.data.tombstones import ERASED
from trainer.config.recipe import Recipe
from trainer.core.progress import print_line
from trainer.data.prepared import (
    mapped,
    open_histories,
    open_split,
    prepare_histories,
    store_draws,
    store_split,
    write_renumbered,
)
from trainer.data.questions import Split
from trainer.runtime.workspace import Workspace

__all__ = ["PreparedSplit"]

FORMAT = 1
"""Of the files, which are made again where it is another."""
KEPT_SECONDS = 7 * 86400


class PreparedSplit:
    """The split of files of events that the recipe names.

    file_items: reads the file of items, where it is needed.
    """

    def __init__(
        self,
        events: Sequence[Path],
        tombstones: Sequence[Path],
        file_items: Callable[[], Items],
        recipe: Recipe,
        workspace: Workspace,
    ) -> None:
        self._events, self._tombstones, self._file_items = events, tombstones, file_items
        self._recipe, self._workspace = recipe, workspace
        inputs = [FORMAT, sorted(workspace.digests.values()), [workspace.digests[file] for file in events]]
        text = json.dumps([*inputs, sorted(recipe.events.weights.items()), recipe.events.positive_rating])
        self._root = workspace.root.parent
        self._folder = self._root / f"prepared-{hashlib.sha256(text.encode()).hexdigest()[:16]}"
        self._split = self._folder / recipe.evaluation.split
        self._make()
        self.report: str
        self.erased: int
        self.report, self.erased = json.loads((self._folder / "full" / "report.json").read_text(encoding="utf-8"))

    def of_file(self) -> Split:
        """The split whose items are numbered as in the file of items."""
        return open_split(open_histories(self._folder / "full"), self._split)

    def of_catalog(self, items: Items) -> Split:
        """The split whose items are numbered as in the catalog."""
        split, folder = self.of_file(), self._workspace.histories

        def fill(draft: Path) -> None:
            leaves = [items.row_of(item_id) for item_id in self._file_items().ids]
            leaf_N = np.array([-1 if leaf is None else leaf for leaf in leaves], np.int64)
            for name, histories in (("full", split.full), ("train", split.train)):
                write_renumbered(histories.items_E, leaf_N, draft / f"{name}.i64")

        self._workspace.stage(folder, fill)
        full = replace(open_histories(self._folder / "full"), items_E=mapped(folder / "full.i64"))
        return open_split(full, self._split, mapped(folder / "train.i64"))

    def _make(self) -> None:
        with _locked(self._root / "prepared.lock"):
            self._workspace.stage(self._folder / "full", self._fill)
            full = open_histories(self._folder / "full")
            name = self._recipe.evaluation.split
            self._workspace.stage(self._split, lambda draft: store_split(full, name, draft))
            store_draws(open_histories(self._split / "train", full.users), self._recipe.training.user_sampling)
            os.utime(self._folder)
            for other in self._root.glob("prepared-*"):
                if time.time() - other.stat().st_mtime > KEPT_SECONDS:
                    shutil.rmtree(other)

    def _fill(self, draft: Path) -> None:
        events = self._recipe.events
        items, memory = self._file_items(), f"{events.memory_gb}GB"
        print_line(f"preparing the histories on disk, in {self._folder}")
        _, report = prepare_histories(
            self._events, self._tombstones, items, draft, weights=events.event_weights, memory=memory
        )
        self._workspace.check_inputs()
        (draft / "report.json").write_text(json.dumps([str(report), report.omitted(ERASED)]), encoding="utf-8")


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """A context in which no other run makes what is shared; it waits for one that does."""
    with path.open("wb") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield
