"""A member of a fleet: it looks at the store, holds the models that answer, and says which one answers a query."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
import uuid
from collections.abc import Collection, Coroutine
from typing import Any

import structlog

from catalog.errors import CatalogError
from server.core import errors
from server.core.errors import HistoryUnavailable, Problem, RolloutFailed
from server.core.tasks import Outages, Poller
from server.serving.fleet import gauges
from server.serving.fleet.ballot import begun, decided, restored
from server.serving.fleet.times import FleetTimes
from server.serving.fleet.view import FleetView, Wait
from server.serving.manager import DeploymentManager
from server.serving.router import DeploymentRef, TrafficSplit
from server.serving.supervisor import Backoff
from server.storage.shared.fleet_state import FleetState, FleetStore, Look, Member, Proposal, Routing, Vote

__all__ = ["FleetMember"]

log = structlog.get_logger(__name__)


class FleetMember:
    """Follows a fleet with the models of one server.

    view: what it knows of the fleet.
    away_since: `time.monotonic` of the first look in vain; None while the store answers.
    news: set, and replaced by another, after every look.
    fault: why it does not serve all that it should; None while it does.
    """

    def __init__(self, manager: DeploymentManager, store: FleetStore, address: str, times: FleetTimes) -> None:
        self.name = f"{socket.gethostname()}-{uuid.uuid4().hex[:8]}"
        self.view = FleetView(times)
        self.away_since: float | None = None
        self.news = asyncio.Event()
        self.fault: str | None = None
        self._manager = manager
        self._store = store
        self._address = address
        self._vote: Vote | None = None
        self._applied = 0
        self._followed_since = float("-inf")  # ms of the own clock
        self._backoff, self._backoff_of = Backoff(), 0
        self._looking = asyncio.Lock()
        self._work: asyncio.Task[None] | None = None
        self._loading: Proposal | None = None
        self._poller = Poller(self._poll, times.look / 1_000)
        self._outages = Outages("fleet_unavailable", "fleet_not_followed", (HistoryUnavailable,), "traffic")

    @property
    def joined(self) -> bool:
        """Whether it counts as a member: once it has served what the fleet serves."""
        return self._applied > 0

    @property
    def flipping(self) -> bool:
        """Whether some user may still be answered by the models of the epoch before."""
        return self.view.flipping(_now())

    @property
    def unsettled_ms(self) -> float:
        """For how long leases that are over may be of members that live; 0 or less where they tell who has gone.

        Nobody can renew one while the store is away, so all have the time of a lease for it when it is back.
        """
        return self._followed_since + self.view.times.lease - _now()

    @property
    def blocked(self) -> str | None:
        """Why it answers no query, or not everybody's; None where it answers all."""
        answering = self.view.answering(_now())
        if not answering:
            return "what the fleet serves is not known yet: Redis has not answered since the start"
        held = self._manager.router.held
        if self._applied != self.view.state.epoch and answering[0].shares.keys() - held:
            return f"epoch {self.view.state.epoch} of the fleet is not applied yet: {self.fault or 'loading'}"
        if any(routing.current not in held for routing in answering):
            return "users are passing from one model to another, of which one is not here: wait until they have"
        return None

    async def first_version(self) -> str | None:
        """The version with which to start; None where the store does not say."""
        with self._outages.reported():
            await self.look()
        return None if self.view.state.routing is None else self.view.state.routing.current

    async def start(self) -> None:
        """Serve what the fleet serves, and keep following it. Needs the deployment of `first_version`, or another."""
        await self._poll()
        while self._work is not None and not self._work.done():
            await asyncio.wait({self._work})
            await self._poll()
        self._manager.router.choose = self._choose
        self._poller.start()

    async def stop(self) -> None:
        """Leave the fleet."""
        await self._poller.stop()
        if self._work is not None:
            self._work.cancel()
            await asyncio.gather(self._work, return_exceptions=True)
        if self.joined:
            with contextlib.suppress(HistoryUnavailable):
                await self._store.leave(self.name)
        await self._store.close()

    async def look(self) -> Look:
        """Renew the lease and read the state. Raises HistoryUnavailable."""
        async with self._looking:
            return await self._look()

    async def follow(self) -> None:
        """Look, take the step that the votes call for, and begin what there is to do. Raises HistoryUnavailable."""
        look = await self.look()
        if await self._step(look):
            await self.look()
        self._begin_work()

    async def _poll(self) -> None:
        try:
            with self._outages.reported():
                await self.follow()
        finally:
            news, self.news = self.news, asyncio.Event()
            news.set()

    async def _look(self) -> Look:
        name, asked = self.name if self.joined else None, _now()
        held = tuple(sorted(self._manager.router.held))
        member = Member(self._address, self._applied, held, self._vote, self.fault)
        try:
            look = await self._store.look(name, member, self.view.times.lease)
        except HistoryUnavailable:
            self.away_since = self.away_since or time.monotonic()
            raise
        if self.away_since is not None or self.view.lapsed(asked):
            self._followed_since = _now()
        self.away_since = None
        self.view.take(look, asked, _now())
        gauges.show(look, applied=self._applied, flipping=self.flipping)
        return look

    async def _step(self, look: Look) -> bool:
        """Whether there was something to write."""
        found, known = look.state, self.view.state
        if (lost := restored(known, found)) is not None:
            log.warning("fleet_restored", epoch=known.epoch, found=found.epoch)
            await self._store.write(lost, expected=found.number, flips=False)
        elif found.routing is None:
            own = Routing(self._manager.router.current.version)
            await self._store.write(begun(found, own), expected=found.number, flips=True)
        elif self.unsettled_ms <= 0 and (decision := decided(look)) is not None:
            if await self._store.write(decision, expected=found.number, flips=decision.epoch > found.epoch):
                log.info("fleet_decided", epoch=decision.epoch, fault=decision.ended[-1].fault)
        else:
            return False
        return True

    def _begin_work(self) -> None:
        """Start what there is to do, one thing at a time; the loading for a change that was given up ends."""
        state = self.view.state
        if self._work is not None and not self._work.done():
            loading = self._loading
            if loading is not None and loading != state.next and loading.routing != state.routing:
                self._work.cancel()
            return
        if state.epoch != self._backoff_of:
            self._backoff, self._backoff_of = Backoff(), state.epoch
        work = self._todo(state)
        if work is not None:
            self._work = asyncio.create_task(self._do(work))

    async def _do(self, work: Coroutine[Any, Any, None]) -> None:
        with self._outages.reported():
            await work

    def _todo(self, state: FleetState) -> Coroutine[Any, Any, None] | None:
        self._loading = None
        if state.routing is None:
            return None
        held, proposal = self._manager.router.held.keys(), state.next
        if self._applied != state.epoch and self._backoff.due:
            return self._apply(state.epoch, state.routing)
        if proposal is not None and self.name in proposal.voters and not self._voted(proposal):
            self._loading = proposal
            return self._load(proposal)
        if state.routing.shares.keys() - held and self._backoff.due:
            return self._apply(state.epoch, state.routing)
        if self._applied == state.epoch and held - self._kept():
            return self._manager.route(state.routing, self._kept(), state.previous)
        return None

    def _voted(self, proposal: Proposal) -> bool:
        return self._vote is not None and self._vote.proposal == proposal.id

    def _kept(self) -> set[str]:
        """The versions by which somebody is answered, or may soon be."""
        routings = self.view.answering(_now())
        if (proposal := self.view.state.next) is not None and self._voted(proposal):
            routings = [*routings, proposal.routing]
        return {version for routing in routings for version in routing.shares}

    async def _apply(self, epoch: int, routing: Routing) -> None:
        """Serve what the fleet serves; for a version beside the current one that is not to be had, that one answers."""
        fault = await self._held([routing.current]) or await self._held(routing.shares)
        if fault is None:
            self._backoff = Backoff()
        else:
            self._backoff.attempted(succeeded=False)
        if fault is not None and fault != self.fault:
            log.error("fleet_not_applied", epoch=epoch, reason=fault)
        self.fault = fault
        if routing.current in self._manager.router.held:
            await self._manager.route(routing, self._kept(), self.view.state.previous)
            self._applied = epoch
            await self._point_current(routing.current)

    async def _load(self, proposal: Proposal) -> None:
        """Load what a proposal names, and tell the others at once."""
        fault, held = await self._held(proposal.routing.shares), self._manager.router.held
        if fault is None:
            dead = [version for version in proposal.routing.shares if not held[version].value.engine.alive]
            fault = f"the engine of {', '.join(dead)} died and is being started again" if dead else None
        self._vote = Vote(proposal.id, fault)
        with self._outages.reported():
            await self.look()

    async def _held(self, versions: Collection[str]) -> str | None:
        """Have versions ready. Returns why they are not."""
        try:
            await self._manager.hold(versions)
        except RolloutFailed as error:
            return str(error)
        except Exception as error:  # whatever it is, the others must know
            log.exception("fleet_load_failed", versions=sorted(versions))
            return f"{type(error).__name__}: {error}"
        return None

    async def _point_current(self, version: str) -> None:
        """Have this server's disk know too, for a start without Redis; a disk that cannot be written is no fault."""
        try:
            await asyncio.to_thread(self._manager.make_current, version)
        except (CatalogError, OSError) as error:
            log.warning("current_not_changed", version=version, reason=str(error))

    async def _choose(self, key: str | None) -> DeploymentRef:
        """The deployment that answers a query with this key. Raises Problem where none here may."""
        await self._fresh()
        while isinstance(routing := self.view.routing_of(key, _now()), Wait):
            await asyncio.sleep(routing.ms / 1_000)
            await self._fresh()
        held = self._manager.router.held
        wanted = None if routing is None else TrafficSplit(routing.shares).version_of(key or "")
        late = wanted not in held and self._applied != self.view.state.epoch
        if routing is None or wanted is None or late or routing.current not in held:
            raise Problem(errors.NOT_READY, self.blocked or "try again", headers=errors.RETRY_LATER)
        here = [held[version] for version in (wanted, routing.current, *routing.shares) if version in held]
        return next((ref for ref in here if ref.value.engine.alive), here[0])

    async def _fresh(self) -> None:
        """Return when the lease holds, or the store is away."""
        while self.away_since is None and self.view.lapsed(_now()):
            async with self._looking:
                if self.view.lapsed(_now()):
                    with contextlib.suppress(HistoryUnavailable):
                        await self._look()


def _now() -> float:
    """Ms of a clock that never steps."""
    return time.monotonic() * 1_000
