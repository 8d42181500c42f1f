"""A SharedCatalog in memory, for HTTP tests: same contract as Redis, and it can be away."""

from collections.abc import Mapping, Sequence

from catalog.data.changes import Change
from catalog.ids.agreed_paths import Path
from server.core.errors import HistoryUnavailable
from server.storage.protocol import ChangeBatch, PathClaim


class MemoryChanges:
    def __init__(self) -> None:
        self.number = 0
        self.changes: dict[str, tuple[int, Change]] = {}
        self.away = False
        self.path_of: dict[str, dict[str, Path]] = {}

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

    async def paths(self, version: str, item_ids: Sequence[str]) -> dict[str, Path]:
        self._check()
        known = self.path_of.get(version, {})
        return {item_id: known[item_id] for item_id in item_ids if item_id in known}

    async def claim(self, version: str, paths: Mapping[str, Path]) -> PathClaim:
        self._check()
        known, taken = self.path_of.setdefault(version, {}), set()
        owned = set(known.values())
        for item_id, path in paths.items():
            if item_id not in known and path in owned:
                taken.add(path)
            else:
                owned.add(known.setdefault(item_id, path))
        return PathClaim({item_id: known[item_id] for item_id in paths if item_id in known}, frozenset(taken))

    async def close(self) -> None:
        self.away = True

    def _check(self) -> None:
        if self.away:
            raise HistoryUnavailable("Redis failed: the test took it away")
