"""Nobody goes back to an older model, whatever the clocks say, and whoever stops for a while or hears late."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.serving.fleet.ballot import begun
from server.serving.fleet.clock import StoreClock
from server.serving.fleet.times import FleetTimes
from server.serving.fleet.view import FleetView, Wait
from server.storage.shared.fleet_state import FleetState, Look, Routing

TIMES = FleetTimes(lease=300, look=50, flip=400)
OLD, NEW = Routing("old"), Routing("new")
USERS = [f"user-{number}" for number in range(12)]
START = 1_700_000_000_000.0


@dataclass
class Store:
    """Redis, at a moment of the world's time."""

    now: float = START
    state: FleetState = field(default_factory=lambda: replace(begun(FleetState(), OLD), flipped_at=int(START) - 9_000))

    def flip(self) -> None:
        state = self.state
        self.state = replace(
            state, number=state.number + 1, epoch=state.epoch + 1, routing=NEW, before=OLD, flipped_at=int(self.now)
        )


@dataclass
class Server:
    """A member whose clock began somewhere and runs a little wrong."""

    store: Store
    began: float
    drift: float
    view: FleetView = field(default_factory=lambda: FleetView(TIMES))

    @property
    def clock(self) -> float:
        return self.began + (self.store.now - START) * (1 + self.drift)

    def look(self, there: float, back: float) -> None:
        asked = self.clock
        self.store.now += there
        found = Look(self.store.now, self.store.state)
        self.store.now += back
        self.view.take(found, asked, self.clock)

    def answer(self, user: str, slow: float) -> Routing:
        """As `FleetMember` does it: it looks first where its lease is over, and waits where it must."""
        for _ in range(20):
            if self.view.lapsed(self.clock):
                self.look(slow, 0.0)
            routing = self.view.routing_of(user, self.clock)
            if not isinstance(routing, Wait):
                assert routing is not None
                return routing
            self.store.now += routing.ms + 0.01
        raise AssertionError("waits for ever")


def milliseconds(most: float) -> st.SearchStrategy[float]:
    return st.floats(0, most)


SERVERS = st.tuples(st.floats(-1e6, 1e6), st.floats(-4e-4, 4e-4))
WHICH = st.integers(0, 2)
STEPS = st.one_of(
    st.tuples(st.just("ask all"), st.permutations(range(3)), st.sampled_from(USERS), st.floats(-20, 1), st.booleans()),
    st.tuples(st.just("look"), WHICH, milliseconds(30), milliseconds(30)),
    st.tuples(st.just("pass"), st.sampled_from([0.1, 2.0, 20.0, 100.0, 400.0])),
)


@settings(max_examples=100)
@given(st.tuples(SERVERS, SERVERS, SERVERS), st.tuples(WHICH, *[milliseconds(30)] * 6), st.lists(STEPS, min_size=8))
def test_nobody_goes_back_in_whatever_order_things_happen(
    made: tuple[tuple[float, float], ...], first: tuple[int | float, ...], steps: list[tuple[object, ...]]
) -> None:
    """All are asked one after another about a user whose moment is near, when they may disagree."""
    store, had = Store(), dict[str, str]()
    servers = [Server(store, *one) for one in made]
    for number, server in enumerate(servers):
        server.look(first[1 + 2 * number], first[2 + 2 * number])
    store.flip()
    knows = servers[int(first[0])]
    knows.look(0.0, 30.0)
    for step in steps:
        match step:
            case ("pass", float(ms)):
                store.now += ms
            case ("look", int(which), float(there), float(back)):
                servers[which].look(there, back)
            case ("ask all", list(order), str(user), float(off), bool(look_first)):
                moment = knows.view.moment_of(user)
                if look_first:
                    store.now = max(store.now, moment - 200)
                    for server in servers:
                        server.look(20.0, 0.0)
                store.now = max(store.now, moment + off)
                for which in order:
                    got = servers[which].answer(user, 1.0).current
                    assert had.get(user) != "new" or got == "new", f"{user} went back"
                    had[user] = got


def test_users_pass_one_after_another_and_all_have_in_the_end() -> None:
    store = Store()
    server = Server(store, 0.0, 0.0)
    server.look(0.1, 0.1)
    assert {server.answer(user, 0).current for user in USERS} == {"old"}
    store.flip()
    flipped, seen = store.now, set()
    while store.now < flipped + TIMES.lease + TIMES.flip + 50:
        server.look(0.1, 0.1)
        seen.add(sum(server.answer(user, 0).current == "new" for user in USERS))
        assert store.now < flipped + TIMES.lease or seen != {0} or store.now < flipped + TIMES.lease + TIMES.flip
        store.now += 10
    assert {0, len(USERS)} <= seen
    assert len(seen) > 4, "not all at once"
    assert not server.view.flipping(server.clock)


def test_before_the_lease_of_those_who_may_not_know_is_over_nobody_passes() -> None:
    store = Store()
    knows, ignorant = Server(store, 5.0, 4e-4), Server(store, -7.0, -4e-4)
    ignorant.look(0.0, 0.0)
    store.flip()
    knows.look(0.0, 0.0)
    while not ignorant.view.lapsed(ignorant.clock):
        assert knows.answer("ada", 0).current == ignorant.answer("ada", 0).current == "old"
        store.now += 0.5


def test_a_member_that_never_saw_the_store_answers_nobody() -> None:
    view = FleetView(TIMES)
    assert view.lapsed(0.0)
    assert view.routing_of("ada", 0.0) is None
    assert view.answering(0.0) == []


def test_a_store_that_lost_the_newer_state_does_not_take_it_back() -> None:
    store = Store()
    server = Server(store, 0.0, 0.0)
    earlier = store.state
    store.flip()
    server.look(1.0, 1.0)
    store.state = earlier
    server.look(1.0, 1.0)
    assert server.view.state.routing == NEW


@given(st.lists(st.tuples(milliseconds(50), milliseconds(50), milliseconds(5_000)), min_size=1, max_size=20), SERVERS)
def test_the_store_s_clock_is_always_within_the_bounds(
    looks: list[tuple[float, float, float]], one: tuple[float, float]
) -> None:
    store = Store()
    server, clock = Server(store, *one), StoreClock()
    for there, back, pause in looks:
        asked = server.clock
        store.now += there
        shown = store.now
        store.now += back
        clock.learn(asked, server.clock, shown)
        store.now += pause
        earliest, latest = clock.bounds(server.clock)
        assert earliest - 0.01 <= store.now <= latest + 0.01


def test_a_clock_that_steps_is_learned_anew() -> None:
    clock = StoreClock()
    clock.learn(0.0, 2.0, 1_000.0)
    clock.learn(10.0, 12.0, 500.0)
    assert clock.bounds(12.0) == pytest.approx((500.0, 502.0), abs=0.01)


@pytest.mark.parametrize("key", [None, "", "ada", "\ud800"])
def test_every_key_has_its_turn(key: str | None) -> None:
    store = Store()
    server = Server(store, 0.0, 0.0)
    store.flip()
    server.look(0.0, 0.0)
    store.now += TIMES.lease + TIMES.flip + 1
    assert server.view.routing_of(key, server.clock) == NEW
