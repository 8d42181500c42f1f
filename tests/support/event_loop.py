"""How long the event loop is kept from its next turn."""

import asyncio
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

SCHEDULER = Path("/proc/thread-self/schedstat")  # nanoseconds on a processor, and ready but without one; Linux alone
TICK = 0.002  # seconds, after which the loop wants to go on


@dataclass
class Turns:
    """The longest turns of the loop, in each of which it does what is ready. Both count processor time, and so are the
    same on a busy machine as on an idle one.

    longest: seconds that the loop's thread worked.
    longest_blocked: seconds that it waited for the interpreter's lock, which another thread held: as long as that runs
        C code, no other thread can take the lock. TICK more where others worked while nothing was ready; 0
        where the system does not tell.
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
    """Measures the turns of what runs inside.

    The loop is measured, and woken by ticks, since a task that waits for nothing would keep a processor busy, and take
    the interpreter's lock from the threads that do the work.
    """
    loop, turns = asyncio.get_running_loop(), Turns()
    assert isinstance(loop, asyncio.BaseEventLoop)
    run_once = loop._run_once  # type: ignore[attr-defined]
    scheduler = os.open(SCHEDULER, os.O_RDONLY) if SCHEDULER.exists() else None
    before: Clocks

    def watched() -> None:
        nonlocal before
        run_once()
        now = _read_clocks(scheduler)
        worked = now.thread - before.thread
        slept = now.wall - before.wall - worked - (now.queued - before.queued)
        others = now.process - before.process - worked
        turns.longest = max(turns.longest, worked)
        turns.longest_blocked = max(turns.longest_blocked, min(slept, others))
        before = now

    async def tick() -> None:
        while True:
            await asyncio.sleep(TICK)

    vars(loop)["_run_once"] = watched
    task = asyncio.create_task(tick())
    await asyncio.sleep(0)  # the turn that goes on now was not seen from its beginning
    before = _read_clocks(scheduler)
    try:
        yield turns
    finally:
        await asyncio.sleep(0)  # the last turn ends
        del vars(loop)["_run_once"]
        task.cancel()
        await asyncio.sleep(0)  # and so does this one, which is still measured
        if scheduler is not None:
            os.close(scheduler)


def _read_clocks(scheduler: int | None) -> Clocks:
    """scheduler: the open file. It is read in one call, as each gives the interpreter's lock away and waits for it."""
    wall, thread, process = time.perf_counter(), time.thread_time(), time.process_time()
    queued = wall if scheduler is None else int(os.pread(scheduler, 100, 0).split()[1]) / 1e9
    return Clocks(wall, thread, process, queued)
