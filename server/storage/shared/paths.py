"""The paths of new items in Redis: a PathStore."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from catalog.ids.agreed_paths import Path
from server.core.errors import HistoryUnavailable
from server.storage.client import RedisClient, Script
from server.storage.keyspace import PATH_DAYS
from server.storage.protocol import PathClaim

__all__ = ["RedisPaths"]

PAGE = 2_000  # items in one step, each of which has the time limit
KEEP_SECONDS = PATH_DAYS * 24 * 3600
CLAIM_PATHS = Script.named("claim_paths")


class RedisPaths:
    """A PathStore over a client that somebody else closes. seconds: the time limit of a step."""

    def __init__(self, client: RedisClient, seconds: float) -> None:
        self._client = client
        self._seconds = seconds

    async def paths(self, version: str, item_ids: Sequence[str]) -> dict[str, Path]:
        key, found = self._client.keys.paths(version), dict[str, Path]()
        for start in range(0, len(item_ids), PAGE):
            page = item_ids[start : start + PAGE]
            async with self._client.limit("read_paths", self._seconds):
                texts = await self._client.redis.hmget(key, page)
            found |= {item_id: _path(text, key) for item_id, text in zip(page, texts, strict=True) if text is not None}
        return found

    async def claim(self, version: str, paths: Mapping[str, Path]) -> PathClaim:
        keys = self._client.keys.paths(version), self._client.keys.path_items(version)
        of, taken = dict[str, Path](), set[Path]()
        asked = list(paths.items())
        for start in range(0, max(1, len(asked)), PAGE):
            page = asked[start : start + PAGE]
            rows = [part for item_id, path in page for part in (item_id, ".".join(map(str, path)))]
            async with self._client.limit("claim_paths", self._seconds):
                texts = await self._client.run(CLAIM_PATHS, keys, KEEP_SECONDS, *rows)
            for (item_id, path), text in zip(page, texts, strict=True):
                if text is None:
                    taken.add(path)
                else:
                    of[item_id] = _path(text, keys[0])
        return PathClaim(of, frozenset(taken))


def _path(text: bytes | str, key: str) -> Path:
    """Raises HistoryUnavailable for what another program wrote."""
    try:
        return tuple(map(int, (text.decode() if isinstance(text, bytes) else text).split(".")))
    except ValueError as error:
        raise HistoryUnavailable(f"{key} in Redis is not as this server writes it") from error
