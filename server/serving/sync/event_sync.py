"""Event sync: the priors of every served model count the events of the log, whichever server wrote them.

What a server counts is that of the bundle and of the log since, so all servers on one store guide alike about a second
after an event, and again after a restart. A model that comes to answer catches up with the log before, in bounded time:
where the store is away or slow it answers as it is, `degraded`, and goes on catching up. An erasure takes the events of
a user back. While the store is away the priors stay as they are. The static prior, which the engine holds, follows in
two seconds.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal
from weakref import WeakKeyDictionary

import structlog

from catalog.priors.live.events import MAX_EVENTS
from server.core import metrics
from server.core.errors import HistoryUnavailable
from server.core.tasks import Outages, Poller, Tasks
from server.engine.errors import EngineUnavailable
from server.retrieval.live_catalog import LiveCatalog
from server.serving.router import Router
from server.storage.protocol import EventLog

__all__ = ["EventSync"]

log = structlog.get_logger(__name__)

POLL_SECONDS = 0.5
RENEW_SECONDS = 2.0
"""After so long at most the popularity of items that no source lists follows: it costs the engine a pass over them."""
MAX_WAIT_SECONDS = 10.0
"""How long a model that is ready waits for the events that came before it answers."""


@dataclass(slots=True)
class Progress:
    """How far a catalog has followed the log. position: None before the first batch."""

    position: tuple[str, ...] | None = None
    alone: asyncio.Lock = field(default_factory=asyncio.Lock)


class EventSync:
    """Follows the log for every deployment in the routing table, and for those that are about to come."""

    def __init__(
        self,
        router: Router,
        store: EventLog,
        *,
        poll_seconds: float = POLL_SECONDS,
        renew_seconds: float = RENEW_SECONDS,
        wait_seconds: float = MAX_WAIT_SECONDS,
    ) -> None:
        """
        renew_seconds: between two looks whether popularity has changed.
        wait_seconds: how long `catch_up` takes at most.
        """
        self._router = router
        self._store = store
        self._wait_seconds = wait_seconds
        self._progress: WeakKeyDictionary[LiveCatalog, Progress] = WeakKeyDictionary()
        self._tasks = Tasks()
        self._poller = Poller(self._poll, poll_seconds)
        self._outages = Outages("events_unavailable", "events_not_counted", (HistoryUnavailable,))
        self._renewer = Poller(self._renew, renew_seconds)
        self._failures = Outages("popularity_not_renewed", "popularity_not_renewed", (EngineUnavailable,))

    async def start(self) -> None:
        """Have all that answer catch up, and keep polling."""
        await asyncio.gather(*(self.catch_up(deployment.catalog) for deployment in self._router.table.deployments))
        await self._renew()
        self._poller.start()
        self._renewer.start()

    async def stop(self) -> None:
        """Poll no more."""
        await self._poller.stop()
        await self._renewer.stop()
        await self._tasks.cancel()
        await self._store.close()

    async def catch_up(self, catalog: LiveCatalog) -> None:
        """Have a catalog count what the log has, before it answers. It raises nothing, and returns in bounded time.

        Where the store is away or slow, the catalog is `behind` until it has caught up while it answers.
        """
        if not catalog.priors.exists:
            return
        catalog.priors.behind = True
        following = self._tasks.start(self._caught_up(catalog))  # one that is late goes on: half a batch counts twice
        await asyncio.wait({following}, timeout=self._wait_seconds)
        outcome = following.result() if following.done() else "late"
        metrics.EVENT_CATCH_UPS.labels(outcome).inc()
        if outcome != "ok":
            log.warning("answering_without_new_events", reason=outcome, model=catalog.version)

    async def _caught_up(self, catalog: LiveCatalog) -> Literal["ok", "away", "failed"]:
        try:
            await self._follow(catalog)
        except HistoryUnavailable:
            return "away"
        except Exception:
            log.exception("events_not_counted")
            return "failed"
        return "ok"

    async def _poll(self) -> None:
        for deployment in self._router.table.deployments:
            with self._outages.reported():
                await self._follow(deployment.catalog)

    async def _renew(self) -> None:
        """By a poll of its own: a change of the catalog, which it waits for, must not keep events waiting."""
        for deployment in self._router.table.deployments:
            with self._failures.reported():
                await deployment.catalog.renew_static_prior()

    async def _follow(self, catalog: LiveCatalog) -> None:
        """Count what came since the last poll; without priors there is nothing to do."""
        after = await catalog.priors.counted_until()
        if after is None:
            return
        progress = self._progress.setdefault(catalog, Progress())
        async with progress.alone:
            with _failures_counted():
                await self._read_on(catalog, progress, after)
        catalog.priors.behind = False

    async def _read_on(self, catalog: LiveCatalog, progress: Progress, after: int) -> None:
        found = 0
        while True:
            began = progress.position is not None
            if progress.position is None:
                batch = await self._store.begin(after, MAX_EVENTS)
            else:
                batch = await self._store.since(progress.position, after)
            done, progress.position = progress.position == batch.position, batch.position
            found += len(batch.events)
            metrics.EVENT_LAG_EVENTS.labels(catalog.version).set(found)
            if batch.events or batch.erased:  # where that fails, part of it may be counted: it is not tried again
                await catalog.count_events(batch.events, batch.erased)
            if began and batch.oldest is not None:
                lag = time.time() - batch.oldest / 1000
                metrics.EVENT_LAG_SECONDS.labels(catalog.version).observe(max(0.0, lag))
            if done:
                metrics.EVENT_LOG_READ.labels(catalog.version).set_to_current_time()
                return


@contextmanager
def _failures_counted() -> Iterator[None]:
    try:
        yield
    except HistoryUnavailable:
        metrics.EVENT_FAILURES.labels("away").inc()
        raise
    except Exception:
        metrics.EVENT_FAILURES.labels("failed").inc()
        raise
