"""A time limit that does not take a busy event loop for a silent server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

__all__ = ["time_limit"]

STEPS = 10  # of a time limit: a busy event loop looks at least so often for an answer before it gives up


@asynccontextmanager
async def time_limit(seconds: float) -> AsyncIterator[None]:
    """As asyncio.timeout, but the server is not blamed for a busy event loop.

    A busy loop comes late to its timers, and just as late to an answer that is there. So the time is counted in STEPS
    timers one after another, and one that comes late still counts as one.
    """
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(None) as timeout:
        timer: asyncio.TimerHandle

        def count(steps: int) -> None:
            nonlocal timer
            if steps == STEPS:
                timeout.reschedule(loop.time())
            else:
                timer = loop.call_later(seconds / STEPS, count, steps + 1)

        count(0)
        try:
            yield
        finally:
            timer.cancel()
