"""A SynonymStore in memory, for HTTP tests: same contract as Redis, and it can be away."""

from collections.abc import Mapping

from catalog.priors.words import SynonymSet
from server.core.errors import HistoryUnavailable
from server.storage.protocol import StoredSynonyms


class MemorySynonyms:
    def __init__(self) -> None:
        self.stored = StoredSynonyms(0, {})
        self.away = False

    async def number(self) -> int:
        return (await self.read()).number

    async def read(self) -> StoredSynonyms:
        self._check()
        return self.stored

    async def write(self, sets: Mapping[str, SynonymSet], *, expected: int, number: int) -> bool:
        self._check()
        if self.stored.number != expected:
            return False
        self.stored = StoredSynonyms(number, dict(sets))
        return True

    async def close(self) -> None:
        pass

    def _check(self) -> None:
        if self.away:
            raise HistoryUnavailable("Redis failed: the test took it away")
