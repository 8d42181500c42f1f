"""Event sync: the priors of every served model count the events of the log, whichever server wrote them.

What a server counts is that of the bundle and of the log since, so all servers on one store guide alike about a second
after an event, and again after a restart. An erasure takes the events of a user back. While the store is away the
priors stay as they are.
"""

from __future__ import annotations

from weakref import WeakKeyDictionary

from catalog.priors.live.events import MAX_EVENTS
from server.core.errors import HistoryUnavailable
from server.core.tasks import Outages, Poller
from server.retrieval.live_catalog import LiveCatalog
from server.serving.router import Router
from server.storage.protocol import EventLog

__all__ = ["EventSync"]

POLL_SECONDS = 0.5


class EventSync:
    """Follows the log for every deployment in the routing table."""

    def __init__(self, router: Router, store: EventLog, *, poll_seconds: float = POLL_SECONDS) -> None:
        self._router = router
        self._store = store
        self._positions: WeakKeyDictionary[LiveCatalog, tuple[str, ...]] = WeakKeyDictionary()
        self._poller = Poller(self._poll, poll_seconds)
        self._outages = Outages("events_unavailable", "events_not_counted", (HistoryUnavailable,))

    async def start(self) -> None:
        """Keep polling. What the log has already is counted while queries are answered."""
        self._poller.start()

    async def stop(self) -> None:
        """Poll no more."""
        await self._poller.stop()
        await self._store.close()

    async def _poll(self) -> None:
        with self._outages.reported():
            for deployment in self._router.table.deployments:
                await self._follow(deployment.catalog)

    async def _follow(self, catalog: LiveCatalog) -> None:
        """Count what came since the last poll; without priors there is nothing to do."""
        after = await catalog.priors.counted_until()
        if after is None:
            return
        position = self._positions.get(catalog)
        while True:
            if position is None:
                batch = await self._store.begin(after, MAX_EVENTS)
            else:
                batch = await self._store.since(position, after)
            if batch.events or batch.erased:
                await catalog.count_events(batch.events, batch.erased)
            done, position = position == batch.position, batch.position
            self._positions[catalog] = position
            if done:
                return
