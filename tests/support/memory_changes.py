"""A ChangeStore in memory, for HTTP tests: same contract as Redis, and it can be away."""

from collections.abc import Mapping

from catalog.data.changes import Change
from server.core.errors import HistoryUnavailable
from server.storage.protocol import ChangeBatch


class MemoryChanges:
    def __init__(self) -> None:
        self.number = 0
        self.changes: dict[str, tuple[int, Change]] = {}
        self.away = False

    async def since(self, number: int) -> ChangeBatch:
        self._check()
        rows = sorted(self.changes.items(), key=lambda row: row[1][0])
        return ChangeBatch(self.number, {item_id: change for item_id, (at, change) in rows if at > number})

    async def write(self, changes: Mapping[str, Change], *, expected: int, number: int) -> bool:
        self._check()
        if self.number != expected:
            return False
        self.changes |= {item_id: (number, change) for item_id, change in changes.items()}
        self.number = number
        return True

    async def close(self) -> None:
        self.away = True

    def _check(self) -> None:
        if self.away:
            raise HistoryUnavailable("Redis failed: the test took it away")
