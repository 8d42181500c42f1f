"""Work that goes on whatever becomes of whoever asked for it."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

__all__ = ["Tasks"]

Result = TypeVar("Result")


class Tasks:
    """Tasks of one owner, kept until they end."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()

    def start(self, work: Coroutine[Any, Any, Result]) -> asyncio.Task[Result]:
        """Begin work; nobody need wait for it."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def finish(self, work: Coroutine[Any, Any, Result]) -> Result:
        """The result of work that is not given up halfway if the one who waits for it is cancelled."""
        return await asyncio.shield(self.start(work))

    async def wait(self) -> None:
        """Returns when all have ended; what they raise is theirs to report."""
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def cancel(self) -> None:
        """Give all up."""
        for task in self._tasks:
            task.cancel()
        await self.wait()
