"""What servers on one store share as a whole and number by its changes: the traffic split, synonyms and overrides."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Generic, Protocol, TypeAlias, TypeVar

from catalog.priors.words import SynonymSet
from server.storage.overrides import Override

__all__ = [
    "OverrideStore",
    "SharedStore",
    "SplitStore",
    "Stored",
    "StoredOverrides",
    "StoredSplit",
    "StoredSynonyms",
    "SynonymStore",
]


@dataclass(frozen=True, slots=True)
class StoredSplit:
    """How all servers on one store share the queries among models.

    number: counts the changes of the split; 0 is before the first.
    weights: of every version; None where the current version of every server answers alone.
    """

    number: int
    weights: Mapping[str, int] | None


class SplitStore(Protocol):
    """Keeps the traffic split. Every method but `close` raises HistoryUnavailable when the store is away or slow."""

    async def read(self) -> StoredSplit:
        """The split as it was written last."""

    async def write(self, weights: Mapping[str, int] | None, *, expected: int, number: int) -> bool:
        """Write a split under a number. Returns False, and writes nothing, if `expected` is no longer the last one."""

    async def close(self) -> None:
        """Release connections."""


Entry = TypeVar("Entry")


@dataclass(frozen=True)  # with slots, Python 3.11 cannot make one of `Stored[...]`
class Stored(Generic[Entry]):
    """Everything of one kind that all servers on one store share, by ids: the synonyms, or the overrides.

    number: counts the changes; 0 is before the first.
    """

    number: int
    entries: Mapping[str, Entry]


class SharedStore(Protocol[Entry]):
    """Keeps everything of one kind. Every method but `close` raises HistoryUnavailable when the store is away or
    slow."""

    async def number(self) -> int:
        """The number of the last change."""

    async def read(self) -> Stored[Entry]:
        """All of it as it was written last."""

    async def write(self, entries: Mapping[str, Entry], *, expected: int, number: int) -> bool:
        """Write all of it under a number. Returns False, and writes nothing, if `expected` is no longer the last."""

    async def close(self) -> None:
        """Release connections."""


StoredSynonyms = Stored[SynonymSet]
SynonymStore: TypeAlias = SharedStore[SynonymSet]
StoredOverrides = Stored[Override]
OverrideStore: TypeAlias = SharedStore[Override]
