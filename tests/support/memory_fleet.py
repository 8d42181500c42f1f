"""A FleetStore in memory: same contract as Redis, and it can be away."""

import time
from dataclasses import replace

from server.core.errors import HistoryUnavailable
from server.storage.shared.fleet_state import FleetState, Look, Member, SeenMember


class MemoryFleet:
    def __init__(self) -> None:
        self.state = FleetState()
        self.members: dict[str, tuple[Member, float]] = {}
        self.away = False

    async def look(self, name: str | None, member: Member, lease_ms: int) -> Look:
        self._check()
        now = time.time() * 1_000
        if name is not None:
            self.members[name] = member, now + lease_ms
        return Look(now, self.state, {name: SeenMember(m, round(end - now)) for name, (m, end) in self.members.items()})

    async def write(self, state: FleetState, *, expected: int, flips: bool) -> bool:
        self._check()
        if self.state.number != expected:
            return False
        self.state = replace(state, flipped_at=int(time.time() * 1_000)) if flips else state
        return True

    async def leave(self, name: str) -> None:
        self._check()
        self.members.pop(name, None)

    async def close(self) -> None:
        pass

    def _check(self) -> None:
        if self.away:
            raise HistoryUnavailable("Redis failed: the test took it away")
