"""The audit log in Redis: an AuditLog."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import orjson
from pydantic import TypeAdapter, ValidationError

from server.core.errors import HistoryUnavailable
from server.core.settings import StorageSettings
from server.storage.client import RedisClient
from server.storage.keyspace import AUDIT_LENGTH
from server.storage.protocol import AuditedChange, AuditPage, ChangeMade

__all__ = ["RedisAuditLog"]

CONNECTIONS = 2
CHANGE: TypeAdapter[ChangeMade] = TypeAdapter(ChangeMade)


class RedisAuditLog:
    """It connects when first used, and again by itself after Redis was away."""

    def __init__(self, settings: StorageSettings) -> None:
        self._client = RedisClient.of(settings, CONNECTIONS)
        self._timeout = settings.write_timeout

    async def add(self, change: ChangeMade) -> None:
        fields: Any = {"change": orjson.dumps(asdict(change))}
        async with self._client.limit("write_audit", self._timeout):
            await self._client.redis.xadd(self._client.keys.audit, fields, maxlen=AUDIT_LENGTH, approximate=True)

    async def latest(self, limit: int, before: str | None = None) -> AuditPage:
        if before is not None and set(before) <= {"0", "-"}:  # Redis refuses what is before all places
            return AuditPage((), more=False)
        end = "+" if before is None else f"({before}"
        async with self._client.limit("read_audit", self._timeout):
            found: Any = await self._client.redis.xrevrange(self._client.keys.audit, end, "-", limit + 1)
        try:
            changes = [AuditedChange(name.decode(), CHANGE.validate_json(fields[b"change"])) for name, fields in found]
        except (ValidationError, KeyError) as error:
            raise HistoryUnavailable(f"{self._client.keys.audit} in Redis is not as this server writes it") from error
        return AuditPage(tuple(changes[:limit]), more=len(changes) > limit)

    async def close(self) -> None:
        await self._client.close()
