"""The token buckets of a fleet's callers in Redis: a TokenStore."""

from __future__ import annotations

from server.core.settings import StorageSettings
from server.storage.client import RedisClient, Script

__all__ = ["RedisTokens"]

CONNECTIONS = 8
TAKE = Script.named("take_token")


class RedisTokens:
    """It connects when first used, and again by itself after Redis was away."""

    def __init__(self, settings: StorageSettings, fleet: str) -> None:
        """fleet: its name."""
        self._client = RedisClient.of(settings, CONNECTIONS)
        self._timeout = settings.read_timeout
        self._fleet = fleet

    async def take(self, caller: str, per_second: float, capacity: float) -> float:
        key = self._client.keys.tokens(self._fleet, caller)
        async with self._client.limit("take_token", self._timeout):
            return float(await self._client.run(TAKE, [key], per_second, capacity)) / 1_000_000

    async def close(self) -> None:
        await self._client.close()
