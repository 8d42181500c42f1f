"""An engine that died comes back by itself: the same version, in a new process, with the same items.

Whatever it died of, it may do so again, and what it needs may be away (a disk, memory). So attempts are spaced, at
first by a second, in the end by a minute, and never cease; an operator who activates another version ends them.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable

import structlog

from server.core import metrics
from server.core.refcount import RefCounted
from server.core.tasks import Tasks
from server.serving.deployment import Deployment
from server.serving.router import REFUSALS, Router

__all__ = ["Backoff", "Supervisor"]

log = structlog.get_logger(__name__)

LOOK_SECONDS = 0.2
SHORTEST_SECONDS = 1.0
LONGEST_SECONDS = 60.0


class Backoff:
    """When to try again: at once; then after 1, 2, 4, … 60 s, until something has lasted for longer than that."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._tried = 0
        self._ended = clock()
        self._succeeded = True

    @property
    def pause(self) -> float:
        """Seconds between the last attempt's end and the next."""
        if self._tried == 0:
            return 0.0
        return float(min(LONGEST_SECONDS, SHORTEST_SECONDS * 2 ** (self._tried - 1)))

    @property
    def due(self) -> bool:
        return self._clock() - self._ended >= self.pause

    def lost(self) -> None:
        """What had been achieved is gone."""
        if self._succeeded and self._clock() - self._ended > LONGEST_SECONDS:
            self._tried = 0

    def tried(self, *, succeeded: bool) -> None:
        """An attempt has ended."""
        self._tried += 1
        self._ended, self._succeeded = self._clock(), succeeded


class Supervisor:
    """Looks after the engines of all that answer."""

    def __init__(self, router: Router) -> None:
        self._router = router
        self._dead: set[RefCounted[Deployment]] = set()
        self._patience: dict[str, Backoff] = {}
        self._tasks = Tasks()
        self._watching: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Look from now on."""
        self._watching = asyncio.create_task(self._watch())

    async def stop(self) -> None:
        """Start nothing any more. An engine that is just being started is waited for; it is the router's then."""
        if self._watching is not None:
            self._watching.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._watching
        await self._tasks.wait()

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            live = self._router.serving.live
            self._forget_all_but(live)
            for leased in live:
                if not leased.value.engine.alive and self._patience_with(leased).due:
                    await self._tasks.finish(self._attempt(leased))

    def _forget_all_but(self, live: list[RefCounted[Deployment]]) -> None:
        self._dead &= set(live)
        versions = {leased.value.version for leased in live}
        self._patience = {version: kept for version, kept in self._patience.items() if version in versions}

    def _patience_with(self, leased: RefCounted[Deployment]) -> Backoff:
        version = leased.value.version
        patience = self._patience.setdefault(version, Backoff())
        if leased not in self._dead:
            self._dead.add(leased)
            patience.lost()
            log.error("engine_died", model=version, started_again_in=patience.pause)
        return patience

    async def _attempt(self, dead: RefCounted[Deployment]) -> None:
        version = dead.value.version
        async with self._router.starting:
            if dead not in self._router.serving.live:
                return  # meanwhile another took over
            started, patience = time.perf_counter(), self._patience[version]
            try:
                await dead.value.engine.stop()  # its memory is the new one's
                await self._replace(dead)
            except Exception as error:  # whatever it is, the next attempt may find it gone; nobody waits for this task
                patience.tried(succeeded=False)
                log.error(
                    "engine_not_started_again",
                    model=version,
                    reason=str(error),
                    tried_again_in=patience.pause,
                    exc_info=not isinstance(error, REFUSALS),
                )
            else:
                patience.tried(succeeded=True)
                metrics.ENGINE_RESTARTS.labels(version).inc()
                log.warning("engine_started_again", model=version, seconds=round(time.perf_counter() - started, 3))

    async def _replace(self, dead: RefCounted[Deployment]) -> None:
        leased = await self._router.launch(dead.value.version)
        try:
            async with self._router.changing:
                await leased.value.follow(self._router.current.catalog)
                self._router.serve(self._router.serving.replacing(dead, leased))
        except BaseException:
            await self._router.discard(leased)
            raise
