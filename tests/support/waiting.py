"""Waiting for what a test has set going, for as long as a machine that is busy with something else may take."""

import asyncio
import inspect
from collections.abc import Awaitable, Callable

__all__ = ["PATIENCE_SECONDS", "until"]

PATIENCE_SECONDS = 60.0


async def until(condition: Callable[[], object | Awaitable[object]], *, pause: float = 0.001) -> None:
    """Returns when the condition holds. Raises TimeoutError where it does not in time.

    condition: a function, or one whose answer is awaited. pause: seconds between two looks.
    """
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            holds = condition()
            if await holds if inspect.isawaitable(holds) else holds:
                return
            await asyncio.sleep(pause)
