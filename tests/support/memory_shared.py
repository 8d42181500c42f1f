"""A SharedStore in memory, for HTTP tests: same contract as Redis, and it can be away."""

from collections.abc import Mapping
from typing import Generic, TypeVar

from catalog.priors.words import SynonymSet
from server.core.errors import HistoryUnavailable
from server.storage.overrides import Override
from server.storage.protocol import Stored

Entry = TypeVar("Entry")


class MemoryShared(Generic[Entry]):
    def __init__(self) -> None:
        self.stored: Stored[Entry] = Stored(0, {})
        self.away = False

    async def number(self) -> int:
        return (await self.read()).number

    async def read(self) -> Stored[Entry]:
        self._check()
        return self.stored

    async def write(self, entries: Mapping[str, Entry], *, expected: int, number: int) -> bool:
        self._check()
        if self.stored.number != expected:
            return False
        self.stored = Stored(number, dict(entries))
        return True

    async def close(self) -> None:
        pass

    def _check(self) -> None:
        if self.away:
            raise HistoryUnavailable("Redis failed: the test took it away")


MemorySynonyms = MemoryShared[SynonymSet]
MemoryOverrides = MemoryShared[Override]
