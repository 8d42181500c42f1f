"""Metrics tell of a fleet what the last look at it found."""

import pytest
from prometheus_client import REGISTRY

from server.serving.fleet import gauges
from server.storage.shared.fleet_state import FleetState, Look, Member, Proposal, Routing, SeenMember

ROUTING = Routing("2025-11-21-a")
PROPOSAL = Proposal("one", ROUTING, None, ("a", "b"), 10_000)
MEMBERS = {"a": SeenMember(Member("a:1"), 900), "b": SeenMember(Member("b:1"), 1), "c": SeenMember(Member("c:1"), -5)}


def told(name: str, **labels: str) -> float | None:
    return REGISTRY.get_sample_value(f"gemserve_fleet_{name}", labels)


@pytest.mark.parametrize(
    ("proposal", "flipping", "phase"),
    [(None, False, "steady"), (PROPOSAL, False, "loading"), (None, True, "passing")],
)
def test_epochs_members_and_the_phase_are_told(proposal: Proposal | None, flipping: bool, phase: str) -> None:
    look = Look(0.0, FleetState(number=9, epoch=4, routing=ROUTING, next=proposal), MEMBERS)
    gauges.show(look, applied=3, flipping=flipping)
    assert (told("epoch"), told("applied_epoch")) == (4, 3)
    assert (told("members", live="true"), told("members", live="false")) == (2, 1)
    assert {name: told("phase", phase=name) for name in ("steady", "loading", "passing")} == {
        name: float(name == phase) for name in ("steady", "loading", "passing")
    }
