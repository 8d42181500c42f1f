"""Imports synonyms and overrides line by line, in chunks that are each one change of all servers."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Generic, TypeVar

from pydantic import TypeAdapter, ValidationError

from server.api.bulk.answering import LineImporter, Result
from server.api.bulk.lines import Line
from server.api.schemas.json_text import PARSER
from server.api.schemas.types import Identifier
from server.core import errors
from server.core.errors import HistoryUnavailable, Problem
from server.serving.sync.shared_sync import TooMany, Written

__all__ = ["MAX_ENTRY_LINES", "EntryImporter"]

MAX_ENTRY_LINES = 10_000
ID: TypeAdapter[str] = TypeAdapter(Identifier)

Entry = TypeVar("Entry")


class EntryImporter(LineImporter, Generic[Entry]):
    """One import."""

    def __init__(
        self,
        what: str,
        read: Callable[[str, Mapping[str, Any]], Entry],
        put_all: Callable[[Sequence[Entry]], Awaitable[list[Written]]],
        too_many: Callable[[TooMany], Problem],
        *,
        request_id: str,
        max_line_bytes: int,
    ) -> None:
        """
        read: makes an entry of its id and of what else its line has, or raises Problem.
        put_all: writes entries.
        too_many: the problem of one that is too much.
        """
        super().__init__(what, request_id=request_id, max_lines=MAX_ENTRY_LINES, max_line_bytes=max_line_bytes)
        self._read = read
        self._put_all = put_all
        self._too_many = too_many

    async def take(self, chunk: Sequence[Line], ids: dict[int, object], results: dict[int, Result]) -> None:
        loop = asyncio.get_running_loop()
        entries = await loop.run_in_executor(PARSER, self._entries, chunk, ids, results)
        try:
            written = await self._put_all([*entries.values()]) if entries else []
        except HistoryUnavailable:
            away = Problem(errors.HISTORY_UNAVAILABLE, "Redis is away or slow: send the line again, which is harmless")
            results.update(dict.fromkeys(entries, away))
            return
        for index, result in zip(entries, written, strict=True):
            results[index] = self._too_many(result) if isinstance(result, TooMany) else result

    def _entries(self, chunk: Sequence[Line], ids: dict[int, object], results: dict[int, Result]) -> dict[int, Entry]:
        """The entries of the lines that can be read, by line; the others have their results."""
        entries: dict[int, Entry] = {}
        for line in chunk:
            try:
                fields: Any = self.parsed(line)
                ids[line.index] = name = _id_of(fields)
                entries[line.index] = self._read(name, {key: fields[key] for key in fields if key != "id"})
            except Problem as problem:
                results[line.index] = problem
        return entries


def _id_of(fields: Any) -> str:
    """Raises Problem."""
    if not isinstance(fields, dict):
        raise errors.invalid_parameter("body", "no_object", "the line is a JSON object with an `id`")
    if "id" not in fields:
        raise errors.invalid_parameter("id", "missing", "is missing: every line names what it writes")
    try:
        return ID.validate_python(fields["id"])
    except ValidationError as error:
        raise errors.invalid_parameter("id", "no_id", error.errors()[0]["msg"]) from error
