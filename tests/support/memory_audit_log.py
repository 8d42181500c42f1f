"""An AuditLog in memory, for HTTP tests: same contract as Redis, and it can be away."""

from server.core.errors import HistoryUnavailable
from server.storage.protocol import AuditedChange, AuditPage, ChangeMade


class MemoryAuditLog:
    def __init__(self) -> None:
        self.changes: list[AuditedChange] = []
        self.away = False

    async def add(self, change: ChangeMade) -> None:
        self._check()
        self.changes.append(AuditedChange(f"1700000000000-{len(self.changes)}", change))

    async def latest(self, limit: int, before: str | None = None) -> AuditPage:
        self._check()
        end = len(self.changes) if before is None else int(before.partition("-")[2])
        newest_first = self.changes[:end][::-1]
        return AuditPage(tuple(newest_first[:limit]), more=len(newest_first) > limit)

    async def close(self) -> None:
        pass

    def _check(self) -> None:
        if self.away:
            raise HistoryUnavailable("Redis failed: the test took it away")
