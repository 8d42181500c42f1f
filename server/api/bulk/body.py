"""The lines of an import's body, which still arrives, or of a JSON list of as many objects."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from typing import Any

from fastapi import Request

from server.api.bulk.lines import BodyLines, Line, chunked
from server.api.bulk.response import NDJSON
from server.api.schemas.json_text import Elements, split_array
from server.api.schemas.requests import check_media_type
from server.core.errors import Problem

__all__ = ["body_of_lines", "chunks_of"]


def body_of_lines(one: dict[str, Any], most: int) -> dict[str, Any]:
    """For `requestBody` of a route. one: the schema of a line."""
    several = {"type": "array", "items": one, "minItems": 1, "maxItems": most}
    return {"required": True, "content": {NDJSON: {"schema": one}, "application/json": {"schema": several}}}


async def chunks_of(
    request: Request, elements: Elements, most: int, max_line_bytes: int, nothing: Problem
) -> tuple[AsyncIterator[list[Line]], Callable[[], bool]]:
    """Chunks of lines that are imported together, and whether all of the body has arrived.

    elements: what the lines are, for people. most: of a list. Raises Problem, `nothing` where no line comes.
    """
    if check_media_type(request, NDJSON) == NDJSON:
        lines = BodyLines(request.stream(), max_line_bytes)
        if not await lines.begin():
            raise nothing
        return chunked(lines.windows(), max_line_bytes), lambda: lines.complete
    texts = await asyncio.to_thread(split_array, await request.body(), most, max_line_bytes, elements)
    if not texts:
        raise nothing
    return chunked(_windows(texts), max_line_bytes), lambda: True


async def _windows(texts: list[bytes]) -> AsyncGenerator[list[Line], None]:
    yield [Line(index, text) for index, text in enumerate(texts)]
