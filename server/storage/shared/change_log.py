"""The changes of the catalog in Redis, and the paths of its new items: a SharedCatalog."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import orjson

from catalog.data.changes import AddedColumns, Change, Delete, Upsert
from catalog.data.columns.added import TYPES_BY_NAME, name_of_type
from catalog.ids.agreed_paths import Path
from server.core.errors import HistoryUnavailable
from server.core.settings import StorageSettings
from server.storage.client import RedisClient, Script
from server.storage.protocol import ChangeBatch, PathClaim
from server.storage.shared.paths import RedisPaths

__all__ = ["RedisChanges"]

CONNECTIONS = 2
PAGE = 2_000  # items in one step; a change has fewer, so that every page ends at a greater number
WRITE_CHANGES = Script.named("write_changes")
READ_CHANGES = Script.named("read_changes")


class RedisChanges:
    """A SharedCatalog in Redis. It connects when it is first used, and again by itself after Redis was away."""

    def __init__(self, settings: StorageSettings) -> None:
        self._client = RedisClient.of(settings, CONNECTIONS)
        self._keys = self._client.keys.changes, self._client.keys.order, self._client.keys.number
        self._timeout = settings.write_timeout
        self._paths = RedisPaths(self._client, self._timeout)

    async def since(self, number: int) -> ChangeBatch:
        """Read in pages, each of which has the time limit."""
        changes: dict[str, Change] = {}
        while True:
            last, page, whole = await self._page(number)
            for item_id, at, change in page:
                changes.pop(item_id, None)  # changed between two pages: its place is at the end
                changes[item_id] = change
                number = at
            if whole:
                return ChangeBatch(last, changes)

    async def write(self, changes: Mapping[str, Change], *, expected: int, number: int) -> bool:
        rows = [part for item_id, change in changes.items() for part in (item_id, _json(change))]
        async with self._client.limit("write_changes", self._timeout):
            return bool(await self._client.run(WRITE_CHANGES, self._keys, expected, number, *rows) == 1)

    async def paths(self, version: str, item_ids: Sequence[str]) -> dict[str, Path]:
        return await self._paths.paths(version, item_ids)

    async def claim(self, version: str, paths: Mapping[str, Path]) -> PathClaim:
        return await self._paths.claim(version, paths)

    async def close(self) -> None:
        await self._client.close()

    async def _page(self, number: int) -> tuple[int, list[tuple[str, int, Change]], bool]:
        """The last number in the store, a page of changes after `number`, and whether it is the last page."""
        async with self._client.limit("read_changes", self._timeout):
            last, *rows = await self._client.run(READ_CHANGES, self._keys, number, PAGE)
        found = [(rows[i].decode(), rows[i + 1], _change(rows[i], rows[i + 2])) for i in range(0, len(rows), 3)]
        if len(found) < PAGE:
            return last, found, True
        end = found[-1][1]  # this change may have more items than the page: the next page begins with it
        return last, [row for row in found if row[1] < end], False


def _json(change: Change) -> bytes:
    if isinstance(change, AddedColumns):
        return orjson.dumps({"columns": {name: name_of_type(kind) for name, kind in change.types.items()}})
    if isinstance(change, Upsert):
        return orjson.dumps({"record": change.record})
    return orjson.dumps({"record": None} | ({} if change.record is None else {"deleted": change.record}))


def _change(item_id: bytes, text: bytes) -> Change:
    """Raises HistoryUnavailable for what another program wrote."""
    try:
        read = orjson.loads(text)
        if not item_id:
            return AddedColumns({name: TYPES_BY_NAME[kind] for name, kind in read["columns"].items()})
        record, deleted = read["record"], read.get("deleted")
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise HistoryUnavailable(f"the change of {item_id!r} in Redis is not as this server writes it") from error
    return Delete(item_id.decode(), deleted) if record is None else Upsert(record)
