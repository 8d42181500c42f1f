"""Several servers of one fleet, in one process, on one store in memory."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import pytest

from catalog.bundle.bundle import Bundle
from catalog.bundle.folder import current_bundle
from catalog.errors import BundleError
from server.core.errors import HistoryUnavailable, Problem, RolloutFailed, RolloutInProgress
from server.core.settings import Settings
from server.serving.fleet import Fleet, FleetTimes
from server.serving.manager import DeploymentManager
from server.serving.router import TrafficSplit
from server.storage.shared.fleet_state import Configured, FleetState
from tests.support.memory_fleet import MemoryFleet
from tests.support.small_shop import RecordingEngine, ShopBundle, publish_names
from tests.support.waiting import until

OLD, NEW, THIRD = "2025-11-20-a", "2025-11-21-a", "2025-11-22-a"
HALF = {OLD: 50, NEW: 50}
TIMES = FleetTimes(lease=150, look=15, flip=60, load=60_000)
USERS = [f"user-{number}" for number in range(20)]


@dataclass
class Server:
    manager: DeploymentManager
    fleet: Fleet
    store: MemoryFleet
    engines: list[RecordingEngine] = field(default_factory=list)

    @property
    def running(self) -> int:
        return sum(engine.alive for engine in self.engines)

    async def model(self, user: str) -> str:
        async with self.manager.router.use(user) as deployment:
            return deployment.version

    async def models(self) -> set[str]:
        return {await self.model(user) for user in USERS}

    async def die(self) -> None:
        """As a process that is killed: the others hear nothing more of it."""
        await self.fleet.member._poller.stop()
        if self.fleet.member._work is not None:
            self.fleet.member._work.cancel()
            await asyncio.gather(self.fleet.member._work, return_exceptions=True)


Run = Callable[..., AbstractAsyncContextManager[Server]]


@pytest.fixture
def bundles(tmp_path: Path) -> Path:
    publish_names(tmp_path, OLD, NEW, THIRD)
    return tmp_path


@pytest.fixture
def store() -> MemoryFleet:
    return MemoryFleet()


@pytest.fixture
def broken() -> set[tuple[str, str]]:
    """Names of servers and of versions whose bundles these cannot open."""
    return set()


@pytest.fixture
def gates() -> dict[tuple[str, str], asyncio.Event]:
    """For which these servers wait before engines of these versions start."""
    return {}


@pytest.fixture
def server(
    bundles: Path, store: MemoryFleet, broken: set[tuple[str, str]], gates: dict[tuple[str, str], asyncio.Event]
) -> Run:
    @asynccontextmanager
    async def run(name: str = "one", folder: Path | None = None) -> AsyncIterator[Server]:
        def open_bundle(_: Settings, version: str) -> Bundle:
            if (name, version) in broken:
                raise BundleError(f"model.safetensors of {version} is missing")
            return cast(Bundle, ShopBundle(version))

        class Engine(RecordingEngine):
            async def start(self) -> None:
                if (gate := gates.get((name, self.version))) is not None:
                    await gate.wait()
                await super().start()

            version = ""

        def make_engine(bundle: Bundle, _: object) -> Engine:
            engine = Engine()
            engine.version = bundle.version
            engines.append(engine)
            return engine

        engines: list[RecordingEngine] = []
        settings = Settings(bundles=folder or bundles, answer_timeout_seconds=5)
        manager = DeploymentManager(settings, open_bundle, make_engine)
        fleet = Fleet(manager, store, name="shop", address=name, times=TIMES)
        try:
            await manager.start(await fleet.first_version())
            await fleet.start()
            yield Server(manager, fleet, store, engines)
        finally:
            await fleet.stop()
            await manager.stop()

    return run


async def test_what_is_activated_at_one_is_served_by_all_and_after_all_were_restarted(
    server: Run, bundles: Path
) -> None:
    async with server("one") as one, server("two") as two:
        result = await one.fleet.activate(NEW)
        assert (result.version, result.previous) == (NEW, OLD)
        assert await one.models() == await two.models() == {NEW}
        await until(lambda: (one.running, two.running) == (1, 1))
        assert current_bundle(bundles).name == NEW
        assert one.fleet.previous == two.fleet.previous == OLD
    async with server("three") as three, server("four") as four:
        assert await three.models() == {NEW}
        assert (await four.fleet.roll_back()).version == OLD
        assert await three.models() == await four.models() == {OLD}
        assert three.fleet.previous == NEW


async def test_a_split_that_one_is_told_deals_users_alike_at_all_and_after_restarts(server: Run) -> None:
    split = TrafficSplit(HALF)
    dealt = {user: split.version_of(user) for user in USERS}
    async with server("one") as one, server("two") as two:
        await one.fleet.share(HALF)
        for each in (one, two):
            assert {user: await each.model(user) for user in USERS} == dealt
        assert one.manager.router.table.weights == HALF
    async with server("three") as three, server("four") as four:
        assert {user: await four.model(user) for user in USERS} == dealt
        await three.fleet.end()
        assert await four.models() == {OLD}
        await until(lambda: four.running == 1)


async def test_the_store_counts_where_current_says_otherwise(server: Run, bundles: Path, tmp_path: Path) -> None:
    own = tmp_path / "own"
    own.mkdir()
    publish_names(own, THIRD, OLD, NEW)
    async with server("one"), server("two", own) as two:
        assert await two.models() == {OLD}
        assert current_bundle(own).name == OLD


async def test_a_bundle_that_one_server_cannot_open_leaves_all_as_it_was(
    server: Run, broken: set[tuple[str, str]], store: MemoryFleet
) -> None:
    broken.add(("two", NEW))
    async with server("one") as one, server("two") as two:
        with pytest.raises(RolloutFailed, match=f"{NEW} is not served, {OLD} still is: server two: model.safetensors"):
            await one.fleet.activate(NEW)
        assert await one.models() == await two.models() == {OLD}
        await until(lambda: (one.running, two.running) == (1, 1))
        assert (store.state.epoch, store.state.next, store.state.previous) == (1, None, None)
        assert one.fleet.blocked is two.fleet.blocked is None
        broken.clear()
        await one.fleet.activate(NEW)
        assert await two.models() == {NEW}


async def test_a_member_that_dies_between_the_phases_is_not_waited_for(
    server: Run, gates: dict[tuple[str, str], asyncio.Event]
) -> None:
    gates["three", NEW] = asyncio.Event()
    async with server("one") as one, server("two") as two, server("three") as three:
        activation = asyncio.create_task(one.fleet.activate(NEW))
        await until(lambda: NEW in one.manager.router.held and NEW in two.manager.router.held)
        await asyncio.sleep(2 * TIMES.lease / 1_000)
        assert not activation.done(), "all that live are waited for"
        await three.die()
        await activation
        assert await one.models() == await two.models() == {NEW}


async def test_the_server_that_was_asked_may_die_too(server: Run, gates: dict[tuple[str, str], asyncio.Event]) -> None:
    gates["two", NEW] = asyncio.Event()
    async with server("one") as one, server("two") as two:
        activation = asyncio.create_task(one.fleet.activate(NEW))
        await until(lambda: two.fleet.member.view.state.next is not None)
        activation.cancel()
        await one.fleet._tasks.cancel()
        await one.die()
        gates["two", NEW].set()
        await until(lambda: two.fleet.member.view.state.epoch == 2 and not two.fleet.member.flipping)
        assert await two.models() == {NEW}


async def test_a_model_that_ends_whoever_loads_it_is_given_up(
    server: Run, gates: dict[tuple[str, str], asyncio.Event], store: MemoryFleet
) -> None:
    """Those who come after it was proposed do not load it: they would die of it as well, again and again."""
    gates["one", NEW] = asyncio.Event()
    async with server("one") as one:
        activation = asyncio.create_task(one.fleet.activate(NEW))
        await until(lambda: store.state.next)
        activation.cancel()
        await one.fleet._tasks.cancel()
        await one.die()
        async with server("again") as again:
            await until(lambda: store.state.next is None)
            assert await again.models() == {OLD}
            assert [engine.alive for engine in again.engines] == [True]
            assert store.state.ended[-1].fault == "every server that was to load it has gone"


async def test_a_member_that_knew_of_nothing_answers_nobody_by_the_old_model(server: Run) -> None:
    """As a process that was stopped for a while: its next query finds that the lease is over, and looks first."""
    async with server("one") as one, server("two") as two:
        known = two.fleet.member.view.look
        await one.fleet.activate(NEW)
        await two.fleet.member._poller.stop()
        await until(lambda: two.fleet.member.view.lapsed(time.monotonic() * 1_000))
        two.fleet.member.view.look = known
        assert two.fleet.member.view.state.epoch == 1, "it has not heard"
        assert await two.models() == {NEW}


async def test_nobody_goes_back_while_a_fleet_changes(server: Run) -> None:
    async with server("one") as one, server("two") as two, server("three") as three:
        servers, done = (one, two, three), asyncio.Event()

        async def ask(user: str, first: int) -> list[str]:
            had = []
            while not done.is_set():
                had.append(await servers[(first + len(had)) % 3].model(user))
                await asyncio.sleep(0.001)
            return had

        asking = [asyncio.create_task(ask(user, number)) for number, user in enumerate(USERS)]
        await one.fleet.activate(NEW)
        done.set()
        for had in await asyncio.gather(*asking):
            assert had[0] == OLD
            assert had[had.index(NEW) :].count(OLD) == 0, "went back"


async def test_one_change_at_a_time(server: Run, gates: dict[tuple[str, str], asyncio.Event]) -> None:
    gates["one", NEW] = asyncio.Event()
    async with server("one") as one, server("two") as two:
        activation = asyncio.create_task(one.fleet.activate(NEW))
        await until(lambda: two.fleet.member.view.state.next)
        for change in (one.fleet.end(), two.fleet.share(HALF), two.fleet.activate(THIRD)):
            with pytest.raises(RolloutInProgress):
                await change
        gates["one", NEW].set()
        await activation
        result = await two.fleet.activate(NEW)
        assert result.seconds < 20, "it is served already"


async def test_what_cannot_be_meant_is_refused(server: Run) -> None:
    async with server("one") as one:
        with pytest.raises(RolloutFailed, match="nothing to roll back to"):
            await one.fleet.roll_back()
        with pytest.raises(RolloutFailed, match=f"{OLD} is current and must have a weight"):
            await one.fleet.share({NEW: 1, THIRD: 1})


async def test_what_a_configuration_names_is_served_once_and_what_is_activated_later_stands(
    server: Run, store: MemoryFleet
) -> None:
    """Each replica is told its configuration, when it starts too."""
    async with server("one") as one, server("two") as two:
        await one.fleet.configure(NEW)
        assert await two.models() == {NEW}
        await two.fleet.configure(NEW)
        assert (store.state.epoch, store.state.configured) == (2, Configured(NEW, store.state.ended[-1].proposal))
        await two.fleet.activate(THIRD)
    async with server("three") as three:
        await three.fleet.configure(NEW)
        assert await three.models() == {THIRD}
        await three.fleet.configure(OLD)
        assert await three.models() == {OLD}


async def test_what_a_configuration_names_may_be_served_already(server: Run, store: MemoryFleet) -> None:
    async with server("one") as one:
        await one.fleet.configure(OLD)
        assert (store.state.epoch, store.state.configured) == (1, Configured(OLD))
        await one.fleet.activate(NEW)
        await one.fleet.configure(OLD)
        assert await one.models() == {NEW}


async def test_a_configuration_that_cannot_be_served_leaves_all_as_it_was_and_is_not_tried_again(
    server: Run, broken: set[tuple[str, str]], store: MemoryFleet
) -> None:
    broken.add(("two", NEW))
    async with server("one") as one, server("two") as two:
        with pytest.raises(RolloutFailed, match=r"model\.safetensors"):
            await one.fleet.configure(NEW)
        await two.fleet.configure(NEW)
        assert await one.models() == await two.models() == {OLD}
        assert store.state.configured is not None
        assert store.state.configured.fault == f"server two: model.safetensors of {NEW} is missing"


async def test_servers_that_are_told_a_configuration_at_once_change_once(server: Run, store: MemoryFleet) -> None:
    async with server("one") as one, server("two") as two:
        told = await asyncio.gather(*(each.fleet.configure(NEW) for each in (one, two)), return_exceptions=True)
        assert any(result is None for result in told)
        assert all(result is None or isinstance(result, RolloutInProgress) for result in told)
        assert await one.models() == await two.models() == {NEW}
        assert store.state.epoch == 2


async def test_without_the_store_all_answer_as_before_and_nothing_changes(server: Run, store: MemoryFleet) -> None:
    async with server("one") as one, server("two") as two:
        store.away = True
        for change in (one.fleet.activate(NEW), two.fleet.roll_back(), two.fleet.share(HALF), one.fleet.end()):
            with pytest.raises(HistoryUnavailable):
                await change
        await asyncio.sleep(3 * TIMES.lease / 1_000)
        assert await one.models() == await two.models() == {OLD}
        assert one.fleet.blocked is None
        store.away = False
        await one.fleet.activate(NEW)


async def test_whoever_sees_the_store_first_after_it_was_away_waits_for_the_others_to_come_back(
    server: Run, gates: dict[tuple[str, str], asyncio.Event], store: MemoryFleet
) -> None:
    """Nobody could renew a lease meanwhile, so leases that are over say nothing of who lives."""
    gates["two", NEW] = asyncio.Event()
    async with server("one") as one, server("two") as two:
        activation = asyncio.create_task(one.fleet.activate(NEW))
        await until(lambda: any(member.vote for member, _ in store.members.values()))
        await two.fleet.member._poller.stop()  # it looks later than the first
        store.away = True
        await asyncio.sleep(1.2 * TIMES.lease / 1_000)
        store.away = False
        await one.fleet.member.follow()
        assert (store.state.epoch, store.state.ended) == (1, ())
        two.fleet.member._poller.start()
        await asyncio.sleep(3 * TIMES.lease / 1_000)
        assert not activation.done(), "two lives, and has not loaded it yet"
        gates["two", NEW].set()
        await activation
        assert await one.models() == await two.models() == {NEW}


async def test_a_change_that_is_asked_for_when_the_store_is_back_has_all_as_voters(
    server: Run, broken: set[tuple[str, str]], store: MemoryFleet
) -> None:
    broken.add(("two", NEW))
    async with server("one") as one, server("two") as two:
        await two.fleet.member._poller.stop()
        store.away = True
        await asyncio.sleep(1.2 * TIMES.lease / 1_000)
        store.away = False
        activation = asyncio.create_task(one.fleet.activate(NEW))
        await asyncio.sleep(2 * TIMES.look / 1_000)
        two.fleet.member._poller.start()
        with pytest.raises(RolloutFailed, match=r"server two: model\.safetensors"):
            await activation
        assert store.state.epoch == 1


async def test_a_server_that_starts_without_the_store_answers_nobody_until_it_has_looked(
    server: Run, store: MemoryFleet
) -> None:
    async with server("one") as one:
        await one.fleet.activate(NEW)
        store.away = True
        async with server("two") as two:
            with pytest.raises(Problem, match="not known yet"):
                await two.model("ada")
            assert "not known yet" in str(two.fleet.blocked)
            store.away = False
            await until(lambda: two.fleet.blocked is None)
            assert await two.models() == {NEW}


async def test_a_server_that_comes_while_users_pass_is_not_ready_until_they_have(
    server: Run, store: MemoryFleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(f"{__name__}.TIMES", FleetTimes(lease=150, look=15, flip=1_500))
    async with server("one") as one:
        activation = asyncio.create_task(one.fleet.activate(NEW))
        await until(lambda: store.state.epoch == 2)
        async with server("two") as two:
            assert "passing from one model to another" in str(two.fleet.blocked)
            with pytest.raises(Problem, match="passing"):
                await asyncio.gather(*(two.model(user) for user in USERS))
            await activation
            await until(lambda: two.fleet.blocked is None)
            assert await two.models() == {NEW}


async def test_a_server_without_one_of_the_models_of_a_split_says_so_and_lets_the_current_answer(
    server: Run, broken: set[tuple[str, str]]
) -> None:
    broken.add(("two", NEW))
    async with server("one") as one:
        await one.fleet.share(HALF)
        async with server("two") as two:
            assert await two.models() == {OLD}
            assert two.fleet.blocked is None
            assert "model.safetensors" in str(two.fleet.problem)
            await two.fleet.end()
            await until(lambda: two.fleet.problem is None)


async def test_a_store_that_came_back_empty_is_told(server: Run, store: MemoryFleet) -> None:
    async with server("one") as one, server("two") as two:
        await one.fleet.activate(NEW)
        number, store.state = store.state.number, FleetState()
        await until(lambda: store.state.routing is not None)
        assert (store.state.epoch, store.state.previous) == (2, OLD)
        assert store.state.number > number
        assert await one.models() == await two.models() == {NEW}


async def test_who_leaves_is_no_member_any_more(server: Run, store: MemoryFleet) -> None:
    async with server("one"):
        async with server("two"):
            await until(lambda: len(store.members) == 2)
        assert len(store.members) == 1
