"""Bodies of the route of the fleet."""

from pydantic import BaseModel, Field

from server.serving.fleet import Fleet
from server.storage.shared.fleet_state import Configured, Look, Proposal

__all__ = ["FleetBody", "fleet_body"]


class FleetChangeBody(BaseModel):
    current: str
    traffic: dict[str, int] = Field(description="weights of the versions that are to answer")
    waits_for: list[str] = Field(description="addresses of the servers that have yet to load them")


class FleetMemberBody(BaseModel):
    name: str = Field(description="of the process, and no other")
    address: str
    here: bool = Field(description="whether it is the server that was asked")
    live: bool = Field(description="false where nothing was heard of it for three seconds")
    lease_ms: int = Field(description="what was left of its lease, which it renews all the time; 0 where that is over")
    epoch: int = Field(description="the last one that it serves")
    versions: list[str] = Field(description="the models that it has loaded")
    problem: str | None = Field(description="why it does not serve all that it should; null while it does")


class FleetConfigurationBody(BaseModel):
    version: str
    problem: str | None = Field(description="why it is not served; null where it was, or is being loaded")


class FleetBody(BaseModel):
    name: str
    epoch: int = Field(description="how many times another model or split has come into effect; 0 before the first")
    current: str | None = Field(description="null before the first server has begun")
    previous: str | None = Field(description="what a rollback would activate")
    traffic: dict[str, int] = Field(description="weights of the versions that answer")
    passing: bool = Field(description="whether users are passing from the models before to these")
    change: FleetChangeBody | None = Field(description="what is being loaded everywhere; null for nothing")
    configured: FleetConfigurationBody | None = Field(
        description="what `user_config` of Ray Serve named last, whatever was activated since; null where nothing did"
    )
    members: list[FleetMemberBody] = Field(description="by address; one that was lost is kept for ten minutes")


def fleet_body(fleet: Fleet, look: Look) -> dict[str, object]:
    """What is told of a fleet, as FleetBody."""
    state, seen = look.state, sorted(look.members.items(), key=lambda one: (one[1].member.address, one[0]))
    return {
        "name": fleet.name,
        "epoch": state.epoch,
        "current": None if state.routing is None else state.routing.current,
        "previous": state.previous,
        "traffic": {} if state.routing is None else state.routing.shares,
        "passing": fleet.member.flipping,
        "change": None if state.next is None else _change(state.next, look),
        "configured": None if state.configured is None else _configured(state.configured),
        "members": [
            {
                "name": name,
                "address": one.member.address,
                "here": name == fleet.member.name,
                "live": one.live,
                "lease_ms": max(0, one.left_ms),
                "epoch": one.member.epoch,
                "versions": one.member.versions,
                "problem": one.member.problem,
            }
            for name, one in seen
        ],
    }


def _change(proposal: Proposal, look: Look) -> dict[str, object]:
    voters = [look.live[name] for name in proposal.voters if name in look.live]
    late = [voter.address for voter in voters if voter.vote is None or voter.vote.proposal != proposal.id]
    routing = proposal.routing
    return {"current": routing.current, "traffic": routing.shares, "waits_for": sorted(late)}


def _configured(named: Configured) -> dict[str, object]:
    return {"version": named.version, "problem": named.fault}
