"""A fleet's state and members in Redis: a FleetStore."""

from __future__ import annotations

import dataclasses
from typing import Any

import orjson
from pydantic import TypeAdapter, ValidationError

from server.core.errors import HistoryUnavailable
from server.core.settings import StorageSettings
from server.storage.client import RedisClient, Script
from server.storage.keyspace import LOST_MEMBER_SECONDS
from server.storage.shared.fleet_state import FleetState, Look, Member, SeenMember

__all__ = ["RedisFleet"]

CONNECTIONS = 2
LOOK = Script.named("look_at_fleet")
WRITE = Script.named("write_fleet")
STATE: TypeAdapter[FleetState] = TypeAdapter(FleetState)
MEMBER: TypeAdapter[Member] = TypeAdapter(Member)
BESIDE = {"number", "flipped_at"}  # which are fields of the hash, where scripts read them


class RedisFleet:
    """It connects when first used, and again by itself after Redis was away."""

    def __init__(self, settings: StorageSettings, fleet: str) -> None:
        """fleet: its name."""
        self._client = RedisClient.of(settings, CONNECTIONS)
        self._timeout = settings.write_timeout
        keys = self._client.keys
        self._state = keys.fleet(fleet, "state")
        self._members, self._leases = keys.fleet(fleet, "members"), keys.fleet(fleet, "leases")

    async def look(self, name: str | None, member: Member, lease_ms: int) -> Look:
        keys, record = [self._state, self._members, self._leases], orjson.dumps(member)
        async with self._client.limit("look_at_fleet", self._timeout):
            found = await self._client.run(LOOK, keys, name or "", record, lease_ms, LOST_MEMBER_SECONDS * 1_000)
        try:
            return _look(*found)
        except (ValidationError, ValueError) as error:
            raise HistoryUnavailable(f"{self._state} in Redis is not as this server writes it") from error

    async def write(self, state: FleetState, *, expected: int, flips: bool) -> bool:
        fields = {name: value for name, value in dataclasses.asdict(state).items() if name not in BESIDE}
        at = "now" if flips else state.flipped_at
        async with self._client.limit("write_fleet", self._timeout):
            written = await self._client.run(WRITE, [self._state], expected, state.number, orjson.dumps(fields), at)
        return bool(written == 1)

    async def leave(self, name: str) -> None:
        async with self._client.limit("leave_fleet", self._timeout), self._client.pipeline() as pipeline:
            pipeline.hdel(self._members, name)
            pipeline.zrem(self._leases, name)
            await pipeline.execute()

    async def close(self) -> None:
        await self._client.close()


def _look(seconds: bytes, micros: bytes, number: bytes, text: bytes, flipped_at: bytes, *members: Any) -> Look:
    state = STATE.validate_json(text) if text else FleetState()
    state = dataclasses.replace(state, number=int(number), flipped_at=int(flipped_at))
    seen = {
        members[i].decode(): SeenMember(MEMBER.validate_json(members[i + 1]), int(members[i + 2]))
        for i in range(0, len(members), 3)
    }
    return Look(int(seconds) * 1_000 + int(micros) / 1_000, state, seen)
