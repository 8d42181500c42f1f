"""Tasks that survive their caller's cancellation, and one that polls until it is stopped."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

__all__ = ["Poller", "Tasks"]

Result = TypeVar("Result")


class Tasks:
    """The running tasks of one owner, which keeps a reference to each until it ends.

    asyncio itself keeps only weak references, so a task that nobody waits for could be collected halfway.
    """

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()

    def start(self, work: Coroutine[Any, Any, Result]) -> asyncio.Task[Result]:
        """Starts a task that nobody need wait for."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def shield(self, work: Coroutine[Any, Any, Result]) -> Result:
        """Starts a task and returns its result. The task goes on to its end where the caller is cancelled."""
        return await asyncio.shield(self.start(work))

    async def wait(self) -> None:
        """Returns when all tasks have ended. What they raise is for themselves to report."""
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def cancel(self) -> None:
        """Cancels all tasks and waits for their end."""
        for task in self._tasks:
            task.cancel()
        await self.wait()


class Poller:
    """Calls a function again and again, with a pause before each call, from `start` until `stop`."""

    def __init__(self, poll: Callable[[], Awaitable[None]], seconds: float) -> None:
        """
        poll: reports its own errors; one that it raises ends the polling.
        seconds: of the pause.
        """
        self._poll = poll
        self._seconds = seconds
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Polls from now on."""
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """Polls no more, and cancels a call that is under way. Does nothing where polling was not started."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(self._seconds)
            await self._poll()
