"""How long the event loop is kept from its next turn."""

import asyncio
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

SCHEDULER = Path("/proc/thread-self/schedstat")  # nanoseconds on a processor, and ready but without one; Linux alone


@dataclass
class Turns:
    """Of a task that waits for nothing, the longest times between two of its turns. Both count processor time, and so
    are the same on a busy machine as on an idle one.

    longest: seconds that the loop's thread worked.
    longest_blocked: seconds that it waited for the interpreter's lock, which another thread held: as long as that runs
        C code, no other thread can take the lock. 0 where the system does not tell.
    """

    longest: float = 0.0
    longest_blocked: float = 0.0


@dataclass(frozen=True, slots=True)
class Clocks:
    """Seconds: of a clock, that this thread and that all threads of the process worked, and that this one was ready to
    work but had no processor."""

    wall: float
    thread: float
    process: float
    queued: float


@asynccontextmanager
async def watched_turns() -> AsyncIterator[Turns]:
    """Measures the turns of what runs inside."""
    turns = Turns()

    async def watch() -> None:
        before = _read_clocks(scheduler)
        while True:
            await asyncio.sleep(0)
            now = _read_clocks(scheduler)
            worked = now.thread - before.thread
            slept = now.wall - before.wall - worked - (now.queued - before.queued)
            others = now.process - before.process - worked
            turns.longest = max(turns.longest, worked)
            turns.longest_blocked = max(turns.longest_blocked, min(slept, others))
            before = now

    scheduler = os.open(SCHEDULER, os.O_RDONLY) if SCHEDULER.exists() else None
    task = asyncio.create_task(watch())
    await asyncio.sleep(0)  # it has begun
    try:
        yield turns
    finally:
        await asyncio.sleep(0)  # it has seen the last turn
        await asyncio.sleep(0)
        task.cancel()
        if scheduler is not None:
            os.close(scheduler)


def _read_clocks(scheduler: int | None) -> Clocks:
    """scheduler: the open file. It is read in one call, as each gives the interpreter's lock away and waits for it."""
    wall, thread, process = time.perf_counter(), time.thread_time(), time.process_time()
    queued = wall if scheduler is None else int(os.pread(scheduler, 100, 0).split()[1]) / 1e9
    return Clocks(wall, thread, process, queued)
