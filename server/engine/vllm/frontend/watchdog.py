"""Whether vLLM's process lives. vLLM sees it die, but leaves open what it had been called for, and waits for ever for
one that hangs."""

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

LOOK_SECONDS = 0.1

Result = TypeVar("Result")


async def answered(llm: Any, call: Awaitable[Result], seconds: float) -> Result:
    """What an AsyncLLM's process answers to a call. Raises EngineDeadError once that has died, and TimeoutError."""
    from vllm.v1.engine.exceptions import EngineDeadError

    loop = asyncio.get_running_loop()
    asked, end = asyncio.ensure_future(call), loop.time() + seconds
    try:
        while not asked.done():
            if llm.errored:
                raise EngineDeadError
            if loop.time() >= end:
                raise TimeoutError
            await asyncio.wait({asked}, timeout=min(LOOK_SECONDS, seconds))
        return asked.result()
    finally:
        asked.cancel()


class Watchdog:
    """Asks an AsyncLLM's process for a sign of life now and then, and kills it when there was none for `seconds`; vLLM
    notices as if it had died.

    Missed answers are counted, not the time, so that a server which was itself suspended does not kill an engine that
    answers.
    """

    def __init__(self, llm: Any, seconds: float) -> None:
        self._llm = llm
        self._seconds = seconds
        self._paused = False
        self._beating: asyncio.Task[None] | None = asyncio.create_task(self._beat())

    def stop(self) -> None:
        if self._beating is not None:
            self._beating.cancel()
        self._beating = None  # its traceback refers to this: a circle would keep vLLM's pipes open

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Nothing is missed inside, where the process is busy with something long."""
        self._paused = True
        try:
            yield
        finally:
            self._paused = False

    async def _beat(self) -> None:
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
