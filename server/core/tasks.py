"""Tasks that survive their caller's cancellation, tasks that end together, one that polls until it is stopped, and what
it reports of errors."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Iterator
from typing import Any, TypeVar

import structlog

from server.core import metrics

__all__ = ["Outages", "Poller", "Tasks", "together"]

log = structlog.get_logger(__name__)

Result = TypeVar("Result")


async def together(works: Iterable[Awaitable[Result]]) -> list[Result]:
    """The results of all, in their order, which run at the same time.

    Where one fails, or the caller is cancelled, the others are cancelled, and have ended before this raises: nothing
    goes on with what the caller then gives back.
    """
    tasks = [asyncio.ensure_future(work) for work in works]
    try:
        return await asyncio.gather(*tasks)
    except BaseException:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        raise


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


class Outages:
    """Reports the errors of a poll in the log: what it needs is away once, until it is there again, all others always.

    A later poll may find any of them gone, and nobody awaits the one that failed.
    """

    def __init__(
        self, away: str, failed: str, errors: tuple[type[Exception], ...], follows: metrics.Followed | None = None
    ) -> None:
        """
        away, failed: what the log says.
        errors: those that say that something is away.
        follows: what the polls follow, for the metrics of it; None for none.
        """
        self._messages = away, failed
        self._errors = errors
        self._follows = follows
        self._is_away = False

    @contextlib.contextmanager
    def reported(self) -> Iterator[None]:
        """Around each poll. Errors end here."""
        away, failed = self._messages
        try:
            yield
        except self._errors as error:
            if not self._is_away:
                log.warning(away, error=str(error))
            self._is_away = True
            self._count_failure("away")
        except Exception:
            log.exception(failed)
            self._count_failure("failed")
        else:
            self._is_away = False
            if self._follows is not None:
                metrics.FOLLOW_READ.labels(self._follows).set_to_current_time()

    def _count_failure(self, reason: str) -> None:
        if self._follows is not None:
            metrics.FOLLOW_FAILURES.labels(self._follows, reason).inc()
