"""What all servers on one Redis share: split, synonyms and overrides, each a hash that is written as a whole."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from typing import Generic, Protocol, TypeVar

import orjson
from pydantic import PositiveInt, TypeAdapter, ValidationError

from catalog.priors.words import SynonymSet
from server.core.errors import HistoryUnavailable
from server.core.per_entry import PerEntry
from server.core.settings import StorageSettings
from server.storage.client import RedisClient, Script
from server.storage.keyspace import SharedKeys
from server.storage.overrides import Override
from server.storage.protocol import Stored, StoredSplit

__all__ = ["RedisOverrides", "RedisSplit", "RedisSynonyms"]

CONNECTIONS = 2
BETWEEN = b",\n"
"""Between entries of a list; no text in JSON has a line break."""
Text = bytes | str | None
WRITE = Script.named("write_state")
WEIGHTS: TypeAdapter[dict[str, int] | None] = TypeAdapter(dict[str, PositiveInt] | None)
SYNONYMS: TypeAdapter[SynonymSet] = TypeAdapter(SynonymSet)
OVERRIDES: TypeAdapter[Override] = TypeAdapter(Override)


class Named(Protocol):
    @property
    def id(self) -> str: ...


NamedEntry = TypeVar("NamedEntry", bound=Named)


class RedisSplit:
    """A SplitStore. It connects when first used, and again by itself after Redis was away."""

    def __init__(self, settings: StorageSettings) -> None:
        self._state = _State(settings, SharedKeys(settings.namespace).split, "split", "weights")

    async def read(self) -> StoredSplit:
        number, weights = await self._state.read()
        try:
            return StoredSplit(number, WEIGHTS.validate_json(weights or b"null"))
        except ValidationError as error:
            raise self._state.damaged() from error

    async def write(self, weights: Mapping[str, int] | None, *, expected: int, number: int) -> bool:
        text = orjson.dumps(None if weights is None else dict(weights))
        return await self._state.write(text, expected, number)

    async def close(self) -> None:
        await self._state.close()


class _RedisEntries(Generic[NamedEntry]):
    """A SharedStore. It connects when first used, and again by itself after Redis was away."""

    def __init__(self, state: _State, kind: TypeAdapter[NamedEntry]) -> None:
        self._state, self._kind = state, kind
        self._lines: PerEntry[NamedEntry, bytes] = PerEntry(orjson.dumps)
        self._by_line: dict[bytes, NamedEntry] = {}
        """What was read or written last, by its lines; one that is found again need not be read again."""

    async def number(self) -> int:
        return await self._state.number()

    async def read(self) -> Stored[NamedEntry]:
        number, text = await self._state.read()
        try:
            found = await asyncio.to_thread(self._entries, text or b"[]")
        except (ValueError, TypeError) as error:
            raise self._state.damaged() from error
        return Stored(number, found)

    async def write(self, entries: Mapping[str, NamedEntry], *, expected: int, number: int) -> bool:
        return await self._state.write(await asyncio.to_thread(self._text, entries), expected, number)

    async def close(self) -> None:
        await self._state.close()

    def _text(self, entries: Mapping[str, NamedEntry]) -> bytes:
        """A JSON list with a line for each, written and read by lines, so that no other thread waits for all."""
        lines = self._lines.of(entries)
        self._by_line = {line: entries[name] for name, line in lines.items()}
        return b"[%b]" % BETWEEN.join(lines.values())

    def _entries(self, text: bytes | str) -> dict[str, NamedEntry]:
        """Raises ValueError and TypeError."""
        by_line: dict[bytes, NamedEntry] = {}
        found: dict[str, NamedEntry] = {}
        for line in _lines(text.encode() if isinstance(text, str) else text):
            known = self._by_line.get(line)
            rows = [known] if known else [*map(self._kind.validate_python, orjson.loads(b"[%b]" % line))]
            found.update((one.id, one) for one in rows)
            if len(rows) == 1:
                by_line[line] = rows[0]
        self._by_line = by_line
        return found


class RedisSynonyms(_RedisEntries[SynonymSet]):
    """A SynonymStore."""

    def __init__(self, settings: StorageSettings) -> None:
        super().__init__(_State(settings, SharedKeys(settings.namespace).synonyms, "synonyms", "sets"), SYNONYMS)


class RedisOverrides(_RedisEntries[Override]):
    """An OverrideStore."""

    def __init__(self, settings: StorageSettings) -> None:
        super().__init__(_State(settings, SharedKeys(settings.namespace).overrides, "overrides", "rules"), OVERRIDES)


class _State:
    """A hash of the number of its last change and of one more field, in JSON."""

    def __init__(self, settings: StorageSettings, key: str, name: str, field: str) -> None:
        """name: of it in the names of operations."""
        self._client = RedisClient.of(settings, CONNECTIONS)
        self._timeout = settings.write_timeout
        self._key, self._name, self._field = key, name, field

    async def number(self) -> int:
        async with self._client.limit(f"read_{self._name}", self._timeout):
            return self._whole(await self._client.redis.hget(self._key, "number"))

    async def read(self) -> tuple[int, Text]:
        async with self._client.limit(f"read_{self._name}", self._timeout):
            number, text = await self._client.redis.hmget(self._key, ["number", self._field])
        return self._whole(number), text

    async def write(self, text: bytes, expected: int, number: int) -> bool:
        """Returns False, and writes nothing, if `expected` is not the number of the last change."""
        async with self._client.limit(f"write_{self._name}", self._timeout):
            return bool(await self._client.run(WRITE, [self._key], expected, number, self._field, text) == 1)

    async def close(self) -> None:
        await self._client.close()

    def damaged(self) -> HistoryUnavailable:
        """What to raise where it cannot be read."""
        return HistoryUnavailable(f"{self._key} in Redis is not as this server writes it")

    def _whole(self, number: Text) -> int:
        try:
            return int(number or 0)
        except ValueError as error:
            raise self.damaged() from error


def _lines(text: bytes) -> Iterator[bytes]:
    """Raises TypeError for what is no list."""
    if not (text.startswith(b"[") and text.endswith(b"]")):
        raise TypeError("it is no list")
    yield from text[1:-1].split(BETWEEN)
