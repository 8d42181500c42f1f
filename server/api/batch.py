"""Many queries in one request: some at a time, each answered as soon as it can be."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Sequence
from typing import Any

import orjson
import structlog

from catalog.errors import FilterError
from server.api.problems import engine_problem, filter_problem, problem_members
from server.api.schemas.batch import LINES
from server.api.schemas.body import conform, parse_json
from server.api.schemas.search import answer_body
from server.core import errors
from server.core.errors import Problem
from server.engine.errors import EngineError
from server.query.service import Service

__all__ = ["BatchRunner"]

log = structlog.get_logger(__name__)


class BatchRunner:
    """Answers batches; `at_a_time` queries of each are under way or wait in the queue."""

    def __init__(self, service: Service, at_a_time: int) -> None:
        self._service = service
        self._at_a_time = at_a_time

    async def answers(
        self, rows: Sequence[object], request_id: str, pace: Callable[[], Awaitable[None]]
    ) -> AsyncGenerator[bytes, None]:
        """A line of JSON for every row, as it is ready. Closing the generator stops the work.

        rows: a parsed line, or its bytes. pace: awaited before each row but the first.
        """
        waiting = enumerate(rows)
        ready: asyncio.Queue[bytes] = asyncio.Queue(self._at_a_time)
        workers = [
            asyncio.create_task(self._work(waiting, request_id, pace, ready))
            for _ in range(min(self._at_a_time, len(rows)))
        ]
        try:
            for _ in rows:
                yield await ready.get()
        finally:
            for worker in workers:
                worker.cancel()
            await asyncio.gather(*workers, return_exceptions=True)

    async def _work(
        self,
        waiting: Iterator[tuple[int, object]],
        request_id: str,
        pace: Callable[[], Awaitable[None]],
        ready: asyncio.Queue[bytes],
    ) -> None:
        for index, row in waiting:
            if index > 0:
                await pace()
            line = {"index": index} | await self._line(row, f"{request_id}-{index}")
            await ready.put(orjson.dumps(line, default=str, option=orjson.OPT_APPEND_NEWLINE))

    async def _line(self, row: object, request_id: str) -> dict[str, Any]:
        about: dict[str, Any] = {}
        try:
            asked = parse_json(row, "the line") if isinstance(row, bytes) else row
            if isinstance(asked, dict) and "id" in asked:
                about = {"id": asked["id"]}
            return about | {"answer": await self._answer(asked, request_id)}
        except Problem as refused:
            problem = refused
        except FilterError as error:
            problem = filter_problem(error)
        except EngineError as error:
            problem = engine_problem(error)
        except Exception:
            log.exception("internal_error", line=request_id)
            problem = Problem(errors.INTERNAL_ERROR, "the log has the reason under this request_id")
        return about | {"problem": problem_members(problem, request_id)}

    async def _answer(self, asked: object, request_id: str) -> dict[str, Any]:
        started = time.monotonic()
        kind = asked.get("kind") if isinstance(asked, dict) else None
        if not isinstance(kind, str) or kind not in LINES:
            fault = {"field": "kind", "code": "unknown_kind", "message": f"is none of {', '.join(LINES)}"}
            raise Problem(errors.INVALID_REQUEST, errors.in_words([fault]), errors=[fault])
        query = conform(asked, LINES[kind]).to_query(request_id)
        result = await self._service.execute(query, started, priority="batch")
        return answer_body(query, result, time.monotonic() - started)
