"""Supervision: an engine that died is started once more, with the same version and the same items.

Whatever it died of may come again, and what it needs may be away (a disk, memory). So attempts are spaced, by a second
at first and by a minute in the end, and never cease; an operator who activates another version ends them.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import structlog

from server.core import metrics
from server.core.tasks import Poller
from server.serving.rollout import Rollout
from server.serving.router import LOAD_ERRORS, DeploymentRef, Router

__all__ = ["Backoff", "Supervisor"]

log = structlog.get_logger(__name__)

POLL_SECONDS = 0.2
MIN_PAUSE_SECONDS = 1.0
MAX_PAUSE_SECONDS = 60.0


class Backoff:
    """When to try again: at once; then after 1, 2, 4, … 60 s, until something has lasted for longer than that."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._attempts = 0
        self._ended = clock()
        self._succeeded = True

    @property
    def pause(self) -> float:
        """Seconds between the last attempt's end and the next."""
        if self._attempts == 0:
            return 0.0
        return float(min(MAX_PAUSE_SECONDS, MIN_PAUSE_SECONDS * 2 ** (self._attempts - 1)))

    @property
    def due(self) -> bool:
        """Whether the pause is over."""
        return self._clock() - self._ended >= self.pause

    def lost(self) -> None:
        """Note that what an attempt had achieved is gone."""
        if self._succeeded and self._clock() - self._ended > MAX_PAUSE_SECONDS:
            self._attempts = 0

    def attempted(self, *, succeeded: bool) -> None:
        """Note that an attempt has ended."""
        self._attempts += 1
        self._ended, self._succeeded = self._clock(), succeeded


class Supervisor:
    """Watches the engines of all deployments that answer."""

    def __init__(self, router: Router, rollout: Rollout) -> None:
        self._router = router
        self._rollout = rollout
        self._dead: set[DeploymentRef] = set()
        self._backoffs: dict[str, Backoff] = {}
        self._poller = Poller(self._watch, POLL_SECONDS)

    def start(self) -> None:
        """Watch from now on."""
        self._poller.start()

    async def stop(self) -> None:
        """Watch no more, and give up the engine that is being started."""
        await self._poller.stop()

    async def _watch(self) -> None:
        refs = self._router.table.refs
        self._forget_all_but(refs)
        for ref in refs:
            if not ref.value.engine.alive and self._backoff_of(ref).due:
                await self._restart(ref)

    def _forget_all_but(self, refs: list[DeploymentRef]) -> None:
        self._dead &= set(refs)
        versions = {ref.value.version for ref in refs}
        self._backoffs = {version: kept for version, kept in self._backoffs.items() if version in versions}

    def _backoff_of(self, dead: DeploymentRef) -> Backoff:
        version = dead.value.version
        backoff = self._backoffs.setdefault(version, Backoff())
        if dead not in self._dead:
            self._dead.add(dead)
            backoff.lost()
            log.error("engine_died", model=version, started_again_in=backoff.pause)
        return backoff

    async def _restart(self, dead: DeploymentRef) -> None:
        version, started = dead.value.version, time.perf_counter()
        backoff = self._backoffs[version]
        try:
            if not await self._rollout.replace(dead):
                return  # meanwhile another one took its place
        except Exception as error:  # whatever it is, the next attempt may find it gone, and nobody awaits this task
            backoff.attempted(succeeded=False)
            log.error(
                "engine_not_started_again",
                model=version,
                reason=str(error),
                tried_again_in=backoff.pause,
                exc_info=not isinstance(error, LOAD_ERRORS),
            )
        else:
            backoff.attempted(succeeded=True)
            metrics.ENGINE_RESTARTS.labels(version).inc()
            log.warning("engine_started_again", model=version, seconds=round(time.perf_counter() - started, 3))
