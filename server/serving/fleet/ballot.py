"""The steps of a fleet's state: a change is proposed, every voter loads it, then it comes into effect or is given up.

Whoever looks at the store takes the step that the votes call for, so no member is needed to end what it began.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from server.storage.shared.fleet_state import Configured, Ended, FleetState, Look, Proposal, Routing

__all__ = ["begun", "configured", "decided", "proposed", "restored"]

REMEMBERED = 5
"""Proposals of which `ended` tells."""


def begun(found: FleetState, routing: Routing) -> FleetState:
    """The first state of a fleet."""
    return replace(found, number=found.number + 1, epoch=1, routing=routing)


def proposed(
    state: FleetState,
    routing: Routing,
    *,
    name: str,
    voters: Sequence[str],
    until: int,
) -> FleetState:
    """The state in which this change is under way. name: of the proposal."""
    assert state.routing is not None
    previous = state.previous if routing.current == state.routing.current else state.routing.current
    made = Proposal(name, routing, previous, tuple(voters), until)
    return replace(state, number=state.number + 1, next=made)


def configured(state: FleetState, version: str) -> FleetState:
    """The state in which a configuration outside has named this version, of which something may be proposed."""
    proposal = None if state.next is None else state.next.id
    return replace(state, configured=Configured(version, proposal))


def decided(look: Look) -> FleetState | None:
    """The state that the votes call for; None while they call for none, or nothing is proposed."""
    state, proposal = look.state, look.state.next
    if proposal is None:
        return None
    voters = {name: look.live[name] for name in proposal.voters if name in look.live}
    if not voters:
        return _over(state, proposal, "every server that was to load it has gone")
    votes = {name: voter.vote for name, voter in voters.items() if voter.vote and voter.vote.proposal == proposal.id}
    for name, vote in votes.items():
        if vote.fault is not None:
            return _over(state, proposal, f"server {voters[name].address}: {vote.fault}")
    if votes.keys() == voters.keys():
        return _over(state, proposal, None)
    if look.now_ms > proposal.until:
        late = ", ".join(sorted(voters[name].address for name in voters.keys() - votes.keys()))
        return _over(state, proposal, f"not loaded in time by {late}")
    return None


def restored(known: FleetState, found: FleetState) -> FleetState | None:
    """What to write where the store has lost what this member knows: it came back empty, or from an older copy."""
    if (found.epoch, found.number) >= (known.epoch, known.number):
        return None
    return replace(known, number=max(known.number, found.number) + 1)


def _over(state: FleetState, proposal: Proposal, fault: str | None) -> FleetState:
    ended = (*state.ended, Ended(proposal.id, fault))[-REMEMBERED:]
    named = state.configured
    if named is not None and named.proposal == proposal.id:
        named = replace(named, fault=fault)
    after = replace(state, number=state.number + 1, next=None, ended=ended, configured=named)
    if fault is not None:
        return after
    return replace(
        after, epoch=state.epoch + 1, routing=proposal.routing, previous=proposal.previous, before=state.routing
    )
