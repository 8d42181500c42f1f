"""Traffic sync: the traffic split is kept in a store, so that it holds in every server on it and survives restarts.

Every change of the split has a number. The server that is asked for a change writes it when it has every model ready;
the others read it within about a second and load what they need. One that cannot keep to the split says so in its
readiness and its log, goes on as before, and tries again. While the store is away the present split holds.
"""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable, Mapping

import structlog

from server.core.errors import HistoryUnavailable, RolloutFailed, RolloutInProgress
from server.core.tasks import Outages, Poller, Tasks
from server.serving.manager import DeploymentManager
from server.serving.rollout import RolloutResult, nothing_to_commit
from server.serving.supervisor import Backoff
from server.storage.protocol import SplitStore, StoredSplit

__all__ = ["TrafficSync"]

log = structlog.get_logger(__name__)

POLL_SECONDS = 0.5


class TrafficSync:
    """Writes this server's changes of the split and applies those of others.

    problem: why this server does not keep to the stored split; None while it does.
    """

    health_check = "traffic"
    blocked: str | None = None

    def __init__(self, manager: DeploymentManager, store: SplitStore, *, poll_seconds: float = POLL_SECONDS) -> None:
        self.problem: str | None = None
        self._manager = manager
        self._store = store
        self._applied = StoredSplit(0, None)
        self._activations = manager.activations
        self._failed = 0
        self._backoff = Backoff()
        self._tasks = Tasks()
        self._poller = Poller(self._poll, poll_seconds)
        self._outages = Outages("traffic_split_unavailable", "traffic_split_not_read", (HistoryUnavailable,), "traffic")

    @property
    def previous(self) -> str | None:
        """The version that `roll_back` would activate."""
        return self._manager.previous

    async def first_version(self) -> str | None:
        """None: `current` says it, which every server has for itself."""
        return None

    async def activate(self, version: str) -> RolloutResult:
        """Serve another version alone, in this server. Raises as `DeploymentManager.activate`."""
        return await self._manager.activate(version)

    async def roll_back(self) -> RolloutResult:
        """Serve what was served before, in this server. Raises as `DeploymentManager.activate`."""
        return await self._manager.roll_back()

    async def start(self) -> None:
        """Take up the stored split, and keep polling. While the store is away the current model answers alone."""
        await self._poll()
        self._poller.start()

    async def stop(self) -> None:
        """Poll no more."""
        await self._poller.stop()
        await self._tasks.cancel()
        await self._store.close()

    async def share(self, weights: Mapping[str, int]) -> None:
        """Have versions share the queries by these weights, here and in every server.

        Raises RolloutFailed, RolloutInProgress and HistoryUnavailable; then all is as before.
        """
        await self._tasks.shield(self._change(dict(weights)))

    async def end(self) -> None:
        """Have the current version of every server answer alone. Raises as `share`."""
        await self._tasks.shield(self._change(None))

    async def _change(self, weights: dict[str, int] | None) -> None:
        found = await self._store.read()
        new = StoredSplit(max(found.number, self._applied.number) + 1, weights)

        async def commit() -> None:
            if not await self._store.write(weights, expected=found.number, number=new.number):
                raise RolloutFailed("another server changed the split meanwhile: look at GET /admin/models")

        await self._set(new, commit)

    async def _set(self, split: StoredSplit, commit: Callable[[], Awaitable[None]] = nothing_to_commit) -> None:
        if split.weights is None:
            await self._manager.end_share(commit)
        else:
            await self._manager.share(split.weights, commit)
        self._applied, self._activations, self.problem = split, self._manager.activations, None

    async def _poll(self) -> None:
        with self._outages.reported(), contextlib.suppress(RolloutInProgress):  # a later poll finds it ended
            await self._reconcile(await self._store.read())

    async def _reconcile(self, found: StoredSplit) -> None:
        """Bring this server and the store together again."""
        weights, table = self._applied.weights, self._manager.router.table
        if found.number > self._applied.number:
            await self._apply(found)
        elif found.number < self._applied.number:
            log.warning("traffic_split_restored", weights=weights, found=found.number)
            await self._write(weights, found.number)
        elif weights is not None and self._manager.activations != self._activations:
            await self._write(None, found.number)  # an activation has ended it here, so it ends everywhere
        elif weights is not None and table.weights != weights:
            self.problem = f"of the traffic split {weights} there are {table.weights}: the log says why others left"

    async def _apply(self, found: StoredSplit) -> None:
        if found.number != self._failed:
            self._failed, self._backoff = found.number, Backoff()
        if not self._backoff.due:
            return
        try:
            await self._set(found)
        except RolloutInProgress:
            raise
        except RolloutFailed as error:
            self._backoff.attempted(succeeded=False)
            problem = f"the traffic split {found.weights} does not hold here: {error}"
            if problem != self.problem:
                log.error("traffic_split_not_applied", weights=found.weights, reason=str(error))
            self.problem = problem
        else:
            log.info("traffic_split_applied", weights=found.weights, number=found.number)

    async def _write(self, weights: Mapping[str, int] | None, found: int) -> None:
        number = self._applied.number + 1
        if await self._store.write(weights, expected=found, number=number):
            self._applied, self._activations = StoredSplit(number, weights), self._manager.activations
