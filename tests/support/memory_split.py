"""A SplitStore in memory, for HTTP tests: same contract as Redis, and it can be away."""

from collections.abc import Mapping

from server.core.errors import HistoryUnavailable
from server.storage.protocol import StoredSplit


class MemorySplit:
    def __init__(self) -> None:
        self.stored = StoredSplit(0, None)
        self.away = False

    async def read(self) -> StoredSplit:
        self._check()
        return self.stored

    async def write(self, weights: Mapping[str, int] | None, *, expected: int, number: int) -> bool:
        self._check()
        if self.stored.number != expected:
            return False
        self.stored = StoredSplit(number, weights)
        return True

    async def close(self) -> None:
        pass

    def _check(self) -> None:
        if self.away:
            raise HistoryUnavailable("Redis failed: the test took it away")
