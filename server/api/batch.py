"""Runs a batch: many queries of one request, a bounded number of them at a time, each answered by a line of JSON."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from typing import Any

import orjson
import structlog

from catalog.errors import FilterError
from server.api.problems import engine_problem, filter_problem, problem_members
from server.api.schemas.json_text import load_json
from server.api.schemas.queries.answers import answer_body
from server.api.schemas.queries.batch import LINES
from server.api.schemas.requests import conform
from server.core import errors
from server.core.errors import Problem
from server.engine.errors import EngineError
from server.query.service import Service
from server.query.types import Query

__all__ = ["BatchRunner"]

log = structlog.get_logger(__name__)

Line = dict[str, Any]


class BatchRunner:
    """Answers batches. Of each, at most `concurrency` lines are under way or wait to be sent, whatever its size.

    max_line_bytes: of one query, as many as a request with one query may have.
    """

    def __init__(self, service: Service, concurrency: int, max_line_bytes: int) -> None:
        self.max_line_bytes = max_line_bytes
        self._service = service
        self._concurrency = concurrency

    async def answers(
        self,
        rows: Sequence[bytes],
        request_id: str,
        pace: Callable[[], Awaitable[None]],
        *,
        within: str | None,
        ordered: bool = False,
    ) -> AsyncGenerator[bytes, None]:
        """Yields a line of JSON for every row. Closing the generator stops the work.

        rows: the queries, each the text of a JSON object.
        request_id: of the batch; a line's own is this one with its index behind it.
        pace: awaited before each row but the first; it waits until the caller's rate allows one more.
        within: a filter that says which items the caller may see at all; None for all.
        ordered: lines come in the order of the rows, so a slow one holds back those behind it; otherwise each comes as
          soon as it is ready.
        """
        running: dict[asyncio.Task[Line], int] = {}  # the index of each task's row, the oldest first
        try:
            for index, row in enumerate(rows):
                work = self._answer_line(row, f"{request_id}-{index}", pace if index > 0 else None, within)
                running[asyncio.create_task(work)] = index
                await asyncio.sleep(0)  # a line begins in each turn of the loop, as each is parsed in its turn
                if len(running) == self._concurrency:
                    yield await _next_line(running, request_id, ordered)
            while running:
                yield await _next_line(running, request_id, ordered)
        finally:
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)

    async def _answer_line(
        self, row: bytes, request_id: str, pace: Callable[[], Awaitable[None]] | None, within: str | None
    ) -> Line:
        if pace is not None:
            await pace()
        given: Line = {}

        def to_query(asked: object) -> Query:
            if isinstance(asked, dict) and "id" in asked:
                given["id"] = asked["id"]
            return _to_query(asked, request_id)

        try:
            started = time.monotonic()
            query = await load_json(row, "the line", to_query)
            result = await self._service.execute(query, started, within=within, priority="batch")
            return given | {"answer": answer_body(query, result, time.monotonic() - started)}
        except Problem as error:
            problem = error
        except FilterError as error:
            problem = filter_problem(error)
        except EngineError as error:
            problem = engine_problem(error)
        except Exception as error:
            problem = _internal_error(error, request_id)
        return given | {"problem": problem_members(problem, request_id)}


def _to_query(asked: object, request_id: str) -> Query:
    kind = asked.get("kind") if isinstance(asked, dict) else None
    if not isinstance(kind, str) or kind not in LINES:
        raise errors.invalid_parameter("kind", "unknown_kind", f"is none of {', '.join(LINES)}")
    return conform(asked, LINES[kind]).to_query(request_id)


async def _next_line(running: dict[asyncio.Task[Line], int], request_id: str, ordered: bool) -> bytes:
    """The oldest task's line, or that of any which is ready. Its task is no longer among those that run.

    Whatever becomes of a task, its row is answered. One that was cancelled was so by something that it waited for:
    the runner itself cancels tasks only when nobody waits for their lines.
    """
    oldest = next(iter(running))
    done, _ = await asyncio.wait([oldest] if ordered else running, return_when=asyncio.FIRST_COMPLETED)
    task = oldest if oldest in done else done.pop()
    index = running.pop(task)
    try:
        error = asyncio.CancelledError() if task.cancelled() else task.exception()
        if error is None:
            return _as_json({"index": index} | task.result())
    except Exception as failure:
        error = failure
    line_id = f"{request_id}-{index}"
    return _as_json({"index": index, "problem": problem_members(_internal_error(error, line_id), line_id)})


def _internal_error(error: BaseException, request_id: str) -> Problem:
    """What a client is told of an error that nobody foresaw; the log has the rest."""
    log.error("internal_error", line=request_id, exc_info=error)
    return Problem(errors.INTERNAL_ERROR, "the log has the reason under this request_id")


def _as_json(line: Line) -> bytes:
    return orjson.dumps(line, default=str, option=orjson.OPT_APPEND_NEWLINE)
