"""The steps of a fleet's state, in whatever order votes come and members go."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.serving.fleet.ballot import REMEMBERED, begun, decided, proposed, restored
from server.storage.shared.fleet_state import FleetState, Look, Member, Routing, SeenMember, Vote

OLD, NEW = Routing("old"), Routing("new")
NAMES = ("a", "b", "c")
UNTIL = 1_000


def asked(voters: tuple[str, ...] = NAMES) -> FleetState:
    return proposed(begun(FleetState(), OLD), NEW, name="p", voters=voters, until=UNTIL)


def seen(vote: Vote | None, *, left_ms: int = 100, address: str = "a:80") -> SeenMember:
    return SeenMember(Member(address, vote=vote), left_ms)


@given(
    st.dictionaries(
        st.sampled_from((*NAMES, "late")),
        st.tuples(st.sampled_from([None, Vote("p"), Vote("p", "broken"), Vote("another")]), st.integers(-5, 5)),
    ),
    st.integers(0, 2 * UNTIL),
)
def test_a_change_comes_into_effect_iff_every_voter_that_lives_has_loaded_it(
    found: dict[str, tuple[Vote | None, int]], now: int
) -> None:
    members = {name: seen(vote, left_ms=left) for name, (vote, left) in found.items()}
    state = asked()
    after = decided(Look(now, state, members))
    votes = [seen.member.vote for name, seen in members.items() if name in NAMES and seen.left_ms > 0]
    own = [vote if vote is not None and vote.proposal == "p" else None for vote in votes]
    if own and all(vote == Vote("p") for vote in own):
        assert after is not None
        assert (after.routing, after.before, after.previous, after.epoch) == (NEW, OLD, "old", state.epoch + 1)
    elif not own or Vote("p", "broken") in own or now > UNTIL:
        assert after is not None
        assert (after.routing, after.epoch, after.before) == (state.routing, state.epoch, state.before)
        assert after.ended[-1].fault
    else:
        assert after is None
    if after is not None:
        assert after.number == state.number + 1
        assert after.next is None
        assert decided(Look(now, after, members)) is None, "once"


def test_nothing_is_decided_where_nothing_is_proposed() -> None:
    assert decided(Look(0, begun(FleetState(), OLD), {"a": seen(Vote("p"))})) is None


def test_a_fault_names_the_server() -> None:
    after = decided(Look(0, asked(("a",)), {"a": seen(Vote("p", "model.safetensors is missing"), address="host:8000")}))
    assert after is not None
    assert after.ended[-1].fault == "server host:8000: model.safetensors is missing"


def test_what_was_served_before_the_last_activation_is_previous() -> None:
    state = begun(FleetState(), OLD)
    shared = Routing("old", {"old": 90, "new": 10})
    assert (made := proposed(state, shared, name="p", voters=NAMES, until=0).next) is not None
    assert made.previous is None, "a split activates nothing"
    assert (made := proposed(state, NEW, name="p", voters=NAMES, until=0).next) is not None
    assert made.previous == "old"


def test_only_the_last_endings_are_remembered() -> None:
    state = begun(FleetState(), OLD)
    for number in range(2 * REMEMBERED):
        state = proposed(state, NEW, name=f"p{number}", voters=NAMES, until=0)
        after = decided(Look(0, state, {}))
        assert after is not None
        state = after
    assert [ended.proposal for ended in state.ended] == [f"p{number}" for number in range(REMEMBERED, 2 * REMEMBERED)]
    assert state.routing == OLD


@pytest.mark.parametrize(
    ("found", "lost"),
    [
        (FleetState(), True),
        (FleetState(number=9, epoch=1, routing=OLD), True),
        (FleetState(number=4, epoch=2, routing=OLD), True),
        (FleetState(number=5, epoch=2, routing=NEW), False),
        (FleetState(number=6, epoch=3, routing=OLD), False),
    ],
)
def test_a_state_that_the_store_lost_is_written_again(found: FleetState, lost: bool) -> None:
    known = FleetState(number=5, epoch=2, routing=NEW, previous="old", before=OLD, flipped_at=77)
    again = restored(known, found)
    assert (again is not None) == lost
    if again is not None:
        assert again == replace(known, number=max(5, found.number) + 1)
