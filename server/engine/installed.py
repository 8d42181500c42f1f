"""The snapshots that an engine in this process holds, and the leaf sets of each."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from catalog.errors import ItemIndexError
from catalog.ids.index import ItemIndex
from catalog.search.restriction import LeafSet
from server.engine.errors import EngineError

__all__ = ["InstalledSnapshot", "Snapshots"]


@dataclass(slots=True)
class InstalledSnapshot:
    index: ItemIndex
    leaf_sets: dict[int, LeafSet] = field(default_factory=dict)

    def leaf_set(self, number: int | None) -> LeafSet | None:
        """The set under this number, None for None. Raises EngineError."""
        if number is None:
            return None
        if number not in self.leaf_sets:
            raise EngineError(f"leaf set {number} is not installed: install it before it is asked for")
        return self.leaf_sets[number]


class Snapshots:
    """By number."""

    def __init__(self) -> None:
        self._snapshots: dict[int, InstalledSnapshot] = {}

    def __getitem__(self, snapshot: int) -> InstalledSnapshot:
        """Raises EngineError."""
        if snapshot not in self._snapshots:
            raise EngineError(f"snapshot {snapshot} is not installed: install it before it is asked for")
        return self._snapshots[snapshot]

    def install(self, snapshot: int, index: ItemIndex) -> None:
        self._snapshots[snapshot] = InstalledSnapshot(index)

    def retire(self, snapshot: int) -> None:
        self._snapshots.pop(snapshot, None)

    def install_set(self, snapshot: int, leaf_set: int, member_N: NDArray[np.bool_]) -> None:
        """Raises EngineError for a set of another catalog."""
        installed = self[snapshot]
        try:
            installed.leaf_sets[leaf_set] = LeafSet.of_mask(installed.index, member_N)
        except ItemIndexError as error:
            raise EngineError(str(error)) from error

    def retire_set(self, snapshot: int, leaf_set: int) -> None:
        if snapshot in self._snapshots:
            self._snapshots[snapshot].leaf_sets.pop(leaf_set, None)

    def clear(self) -> None:
        self._snapshots.clear()
