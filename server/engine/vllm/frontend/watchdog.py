"""The watchdog of vLLM's process.

vLLM notices when the process dies, but leaves its pending calls open; for one that hangs it waits for ever.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import structlog

__all__ = ["CHECK_SECONDS", "Watchdog", "answered"]

log = structlog.get_logger(__name__)

CHECK_SECONDS = 10.0
"""A step of the model takes far less."""

POLL_SECONDS = 0.1

Result = TypeVar("Result")


async def answered(llm: Any, call: Awaitable[Result], seconds: float) -> Result:
    """The result of a call to an AsyncLLM's process. Raises EngineDeadError once that has died, and TimeoutError."""
    from vllm.v1.engine.exceptions import EngineDeadError

    loop = asyncio.get_running_loop()
    asked, end = asyncio.ensure_future(call), loop.time() + seconds
    try:
        while not asked.done():
            if llm.errored:
                raise EngineDeadError
            if loop.time() >= end:
                raise TimeoutError
            await asyncio.wait({asked}, timeout=min(POLL_SECONDS, seconds))
        return asked.result()
    finally:
        asked.cancel()


class Watchdog:
    """Asks an AsyncLLM's process for a sign of life now and then, and kills it after `seconds` without one.

    To vLLM the process has then died. Missed answers are counted, not the time, so that a server which was itself
    suspended does not kill an engine that answers.
    """

    def __init__(self, llm: Any, seconds: float) -> None:
        self._llm = llm
        self._seconds = seconds
        self._paused = False
        self._watching: asyncio.Task[None] | None = asyncio.create_task(self._watch())

    def stop(self) -> None:
        if self._watching is not None:
            self._watching.cancel()
        self._watching = None  # its traceback refers to this: a cycle would keep vLLM's pipes open

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Miss no answers inside, while the process is busy with something long."""
        self._paused = True
        try:
            yield
        finally:
            self._paused = False

    async def _watch(self) -> None:
        missed = 0
        while missed * CHECK_SECONDS < self._seconds:
            if missed == 0:
                await asyncio.sleep(CHECK_SECONDS)
            if self._llm.errored:
                return
            missed = 0 if self._paused or await self._answers() else missed + 1
        log.error("engine_hangs", silent_seconds=missed * CHECK_SECONDS)
        for process in self._llm.engine_core.resources.engine_manager.processes:
            process.kill()

    async def _answers(self) -> bool:
        try:
            await answered(self._llm, self._llm.collective_rpc("item_statistics"), CHECK_SECONDS)
        except TimeoutError:
            return self._paused
        except Exception:  # an answer too; and of its death vLLM knows
            return True
        return True
