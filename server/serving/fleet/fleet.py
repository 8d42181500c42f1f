"""Changes of what a fleet serves, asked for at any of its servers.

1. The change is written to the store as proposed, and every member loads what it names beside what answers, asks it the
   golden queries, and says in the store that it has, or why it cannot.
2. When all have, whoever sees it writes the next epoch. If one cannot, whoever sees it writes the proposal away.
3. Users pass from the old models to the new ones, one after another, at the same moment on every server (view.py).
   When the last has, the old ones are stopped.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Mapping
from dataclasses import replace

from server.core import metrics
from server.core.errors import HistoryUnavailable, RolloutFailed, RolloutInProgress
from server.core.tasks import Tasks
from server.serving.fleet.ballot import configured, proposed
from server.serving.fleet.member import FleetMember
from server.serving.fleet.times import USUAL, FleetTimes
from server.serving.manager import DeploymentManager
from server.serving.rollout import RolloutResult
from server.storage.shared.fleet_state import FleetState, FleetStore, Routing

__all__ = ["Fleet"]

MAX_AWAY_SECONDS = 10.0
"""For which a change that is under way waits for the store."""


class Fleet:
    """A ModelControl for all servers of a fleet."""

    health_check = "fleet"

    def __init__(
        self, manager: DeploymentManager, store: FleetStore, *, name: str, address: str, times: FleetTimes = USUAL
    ) -> None:
        """name: of the fleet. address: of this server, for people."""
        self.name = name
        self.member = FleetMember(manager, store, address, times)
        self._store = store
        self._times = times
        self._tasks = Tasks()

    @property
    def previous(self) -> str | None:
        return self.member.view.state.previous

    @property
    def problem(self) -> str | None:
        return self.member.fault

    @property
    def blocked(self) -> str | None:
        return self.member.blocked

    async def first_version(self) -> str | None:
        return await self.member.first_version()

    async def start(self) -> None:
        await self.member.start()

    async def stop(self) -> None:
        await self._tasks.cancel()
        await self.member.stop()

    async def activate(self, version: str) -> RolloutResult:
        started = time.perf_counter()
        old = await self._routing()
        try:
            await self._tasks.shield(self._change(Routing(version)))
        except RolloutInProgress:
            raise
        except RolloutFailed as error:
            metrics.ROLLOUT_SECONDS.labels("failed").observe(time.perf_counter() - started)
            raise RolloutFailed(f"{version} is not served, {old.current} still is: {error}") from error
        seconds = time.perf_counter() - started
        metrics.ROLLOUT_SECONDS.labels("ok").observe(seconds)
        return RolloutResult(version, old.current, seconds)

    async def configure(self, version: str) -> None:
        """Have the fleet serve what a configuration outside of it names, where that names another than before.

        The fleet decides what is served, not the configuration: whoever names the same again, at another server or
        after a restart, changes nothing, so what was activated since stands. Raises as `activate`.
        """
        await self._routing()
        named = self.member.view.state.configured
        if named is None or named.version != version:
            await self._tasks.shield(self._change(Routing(version), by_configuration=True))

    async def roll_back(self) -> RolloutResult:
        await self._routing()
        if self.previous is None:
            raise RolloutFailed("there is nothing to roll back to: the fleet has served no other bundle")
        return await self.activate(self.previous)

    async def share(self, weights: Mapping[str, int]) -> None:
        current = (await self._routing()).current
        if current not in weights:
            raise RolloutFailed(f"{current} is current and must have a weight: activate another first")
        await self._share(Routing(current, dict(weights)))

    async def end(self) -> None:
        await self._share(Routing((await self._routing()).current))

    async def _share(self, routing: Routing) -> None:
        try:
            await self._tasks.shield(self._change(routing))
        except RolloutInProgress:
            raise
        except RolloutFailed as error:
            raise RolloutFailed(f"requests are shared as before: {error}") from error

    async def _routing(self) -> Routing:
        """What the fleet serves now, by the store."""
        await self.member.look()
        routing = self.member.view.state.routing
        if routing is None or not self.member.joined:
            raise RolloutInProgress(f"this server has not joined the fleet yet: {self.blocked or 'try again'}")
        return routing

    async def _change(self, routing: Routing, *, by_configuration: bool = False) -> None:
        """Have the fleet serve by this routing. by_configuration: as `configure` asks. Raises what `activate` does."""
        look = await self.member.look()
        while (ms := self.member.unsettled_ms) > 0:  # else members that live would be no voters
            await asyncio.sleep(ms / 1_000)
            look = await self.member.look()
        state = look.state
        if state.next is not None or self.member.flipping:
            raise RolloutInProgress("another change of the fleet is under way: wait until GET /admin/fleet shows none")
        name, until = uuid.uuid4().hex, round(look.now_ms) + self._times.load
        if routing != state.routing:
            new = proposed(state, routing, name=name, voters=sorted(look.live), until=until)
        elif by_configuration:
            new = replace(state, number=state.number + 1)
        else:
            return
        if by_configuration:
            new = configured(new, routing.current)
        if not await self._store.write(new, expected=state.number, flips=False):
            raise RolloutInProgress("another server has changed the fleet meanwhile: look at GET /admin/fleet")
        while new.next is not None and not self._is_over(self.member.view.state, new):
            news = self.member.news
            if (away := self.member.away_since) is not None and time.monotonic() > away + MAX_AWAY_SECONDS:
                what = "Redis went away while the fleet was changing, and the change may still come into effect"
                raise HistoryUnavailable(f"{what}: GET /admin/fleet shows it")
            await news.wait()

    def _is_over(self, state: FleetState, written: FleetState) -> bool:
        """Whether a proposal has come into effect for everybody. Raises RolloutFailed if it was given up."""
        assert written.next is not None
        name = written.next.id
        ended = next((ended for ended in state.ended if ended.proposal == name), None)
        if ended is None:
            if state.number >= written.number and (state.next is None or state.next.id != name):
                raise RolloutFailed("Redis has lost the change: try again")
            return False
        if ended.fault is not None:
            raise RolloutFailed(ended.fault)
        return not self.member.flipping
