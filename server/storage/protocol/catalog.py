"""What servers on one store share of the catalog: changes of its items, and the paths of new ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from catalog.data.changes import Change
from catalog.ids.agreed_paths import Path

__all__ = ["ChangeBatch", "ChangeStore", "PathClaim", "PathStore", "SharedCatalog"]


@dataclass(frozen=True, slots=True)
class ChangeBatch:
    """Changes of the catalog.

    number: the number of the last change in the store.
    changes: by item id, the last change of each, the oldest first.
    """

    number: int
    changes: Mapping[str, Change]


class ChangeStore(Protocol):
    """Keeps the last change of every item that was ever changed over HTTP.

    Every method raises HistoryUnavailable where the store does not answer within its time limit.
    """

    async def since(self, number: int) -> ChangeBatch:
        """The changes with a greater number."""

    async def write(self, changes: Mapping[str, Change], *, expected: int, number: int) -> bool:
        """Writes changes under a number, all or none. False, and none, where `expected` is not the last number."""

    async def close(self) -> None:
        """Closes the connections."""


@dataclass(frozen=True, slots=True)
class PathClaim:
    """What came of a claim of paths.

    of: by item id, the path that the item has in the store now, whoever claimed it first; an item whose path was
        another's has none.
    taken: of the paths asked for, those that other items have.
    """

    of: Mapping[str, Path]
    taken: frozenset[Path]


class PathStore(Protocol):
    """Keeps the paths of new items, by the version of the bundle: the first that was claimed stays.

    Every method raises HistoryUnavailable where the store does not answer within its time limit.
    """

    async def paths(self, version: str, item_ids: Sequence[str]) -> dict[str, Path]:
        """The paths of those of these items that have one."""

    async def claim(self, version: str, paths: Mapping[str, Path]) -> PathClaim:
        """Gives each item its path where neither has another, and keeps all of this version for longer."""


class SharedCatalog(ChangeStore, PathStore, Protocol):
    """All that servers on one store share of the catalog."""
