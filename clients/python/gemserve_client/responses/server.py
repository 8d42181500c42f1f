"""The server that answers, and the fleet that it is one of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from gemserve_client.responses.body import Body

__all__ = ["Fleet", "FleetChange", "FleetConfiguration", "FleetMember", "Readiness", "Version"]


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetChange(Body):
    """What is being loaded everywhere. `waits_for`: addresses of the servers that have yet to load it."""

    current: str
    traffic: Mapping[str, int]
    waits_for: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetMember(Body):
    """A server of a fleet. `here`: the one that was asked. `live`: heard of within three seconds. `lease_ms`: what was
    left of its lease. `epoch`: the last one that it serves. `problem`: why it does not serve all that it should."""

    name: str
    address: str
    here: bool
    live: bool
    lease_ms: int = 0
    epoch: int
    versions: tuple[str, ...] = ()
    problem: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetConfiguration(Body):
    """A version that `user_config` of Ray Serve names. `problem`: why it is not served."""

    version: str
    problem: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Fleet(Body):
    """What a fleet serves. `passing`: whether users are passing from the models before to these."""

    name: str
    epoch: int
    current: str | None = None
    previous: str | None = None
    traffic: Mapping[str, int] = field(default_factory=dict)
    passing: bool
    change: FleetChange | None = None
    configured: FleetConfiguration | None = None
    members: tuple[FleetMember, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Readiness(Body):
    """`status` is ready or degraded; a check is "ok" or says what is wrong."""

    status: str
    checks: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Version(Body):
    """Which model answers, over which catalog."""

    gemserve: str
    model: str
    engine: str
    method: str
    base_model: str
    identifiers: str
    created: str
    items: int
    catalog_version: int
