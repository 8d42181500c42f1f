"""How long one turn of the event loop takes."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass


@dataclass
class Turns:
    """longest: seconds of processor time that the loop's thread spent between two turns of a task that waits for
    nothing. Time of other threads and processes does not count, so a busy machine does not change it."""

    longest: float = 0.0


@asynccontextmanager
async def watched_turns() -> AsyncIterator[Turns]:
    """Measures the turns of what runs inside."""
    turns = Turns()

    async def watch() -> None:
        while True:
            begun = time.thread_time()
            await asyncio.sleep(0)
            turns.longest = max(turns.longest, time.thread_time() - begun)

    task = asyncio.create_task(watch())
    await asyncio.sleep(0)  # it has begun
    try:
        yield turns
    finally:
        await asyncio.sleep(0)  # it has seen the last turn
        await asyncio.sleep(0)
        task.cancel()
