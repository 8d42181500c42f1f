"""Answers an import line by line, a chunk of lines at a time, whatever is imported."""

from __future__ import annotations

import asyncio
import time
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from typing import Any

import orjson
from fastapi import Request

from server.api.bulk.body import chunks_of
from server.api.bulk.lines import Line
from server.api.bulk.response import EarlyResponse
from server.api.problems import problem_members
from server.api.schemas.json_text import HANDOVER, LARGE_BYTES, Elements, parse_json
from server.core import errors
from server.core.errors import Problem

__all__ = ["LineImporter", "Result"]

MAX_DETAIL = 500  # characters of a line's problem, so that the answers to all lines are some megabytes at most
MAX_ID_SHOWN = 256

Result = str | Problem


class LineImporter(ABC):
    """One import.

    what: it imports, for people: `items`.
    max_lines: of all chunks.
    max_line_bytes: as many as a request with one of them may have.
    """

    def __init__(self, what: str, *, request_id: str, max_lines: int, max_line_bytes: int) -> None:
        self._what = what
        self._request_id = request_id
        self._max_lines = max_lines
        self._max_line_bytes = max_line_bytes

    async def imported(self, request: Request, elements: Elements, nothing: Problem) -> EarlyResponse:
        """The answer to a request whose body has the lines.

        elements: what the lines are, for people. Raises Problem, `nothing` where no line comes.
        """
        chunks, arrived = await chunks_of(request, elements, self._max_lines, self._max_line_bytes, nothing)
        return EarlyResponse(request, self.answers(chunks), arrived)

    async def answers(self, chunks: AsyncIterator[list[Line]]) -> AsyncGenerator[bytes, None]:
        """The lines of the answer, in the order of those that came, a chunk at a time.

        A body that cannot be read to its end, or has too many lines, is told in a last line; what came before it was
        imported.
        """
        index = 0
        try:
            async for chunk in chunks:
                wanted = chunk[: self._max_lines - index]
                if wanted:
                    yield await self._answer(wanted)
                    index += len(wanted)
                if len(wanted) < len(chunk):
                    over = f"over {self._max_lines:,} {self._what} came"
                    raise Problem(errors.TOO_MANY_ITEMS, f"{over}: send the rest from this line on in another request")
        except Problem as problem:
            yield self._line(index, None, problem)

    @abstractmethod
    async def take(self, chunk: Sequence[Line], ids: dict[int, object], results: dict[int, Result]) -> None:
        """Import a chunk. ids: to be filled by line, as they were sent. results: to be filled for every line."""

    def parsed(self, line: Line) -> object:
        """The JSON of a line. For threads. Raises Problem."""
        if line.text is None:
            raise Problem(
                errors.BODY_TOO_LARGE, f"the line is over {self._max_line_bytes:,} bytes: leave something out"
            )
        if len(line.text) >= LARGE_BYTES:
            time.sleep(HANDOVER)
        return parse_json(line.text, "the line")

    async def _answer(self, chunk: Sequence[Line]) -> bytes:
        ids: dict[int, object] = {}
        results: dict[int, Result] = {}
        await self.take(chunk, ids, results)
        return await asyncio.to_thread(
            lambda: b"".join(self._line(line.index, ids.get(line.index), results[line.index]) for line in chunk)
        )

    def _line(self, index: int, item_id: object, result: Result) -> bytes:
        line: dict[str, Any] = {"index": index}
        if isinstance(item_id, str):
            line["id"] = item_id[:MAX_ID_SHOWN]
        if isinstance(result, Problem):
            members = problem_members(result, f"{self._request_id}-{index}")
            line["problem"] = members | {"detail": result.detail[:MAX_DETAIL]}
        else:
            line["result"] = result
        return orjson.dumps(line, default=str, option=orjson.OPT_APPEND_NEWLINE)
