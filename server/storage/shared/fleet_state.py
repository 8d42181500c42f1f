"""What a fleet of servers agrees on: which models answer, which ones are about to, and who its members are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

__all__ = [
    "Configured",
    "Ended",
    "FleetState",
    "FleetStore",
    "Look",
    "Member",
    "Proposal",
    "Routing",
    "SeenMember",
    "Vote",
]


@dataclass(frozen=True, slots=True)
class Routing:
    """By which models queries are answered.

    current: the version that answers where nothing else is said.
    weights: of every version, `current` among them; None where `current` answers alone.
    """

    current: str
    weights: Mapping[str, int] | None = None

    @property
    def shares(self) -> Mapping[str, int]:
        """The weight of every version."""
        return {self.current: 100} if self.weights is None else self.weights


@dataclass(frozen=True, slots=True)
class Proposal:
    """A change that is under way: its voters load what it names beside what answers.

    id: of it alone.
    previous: what `previous` of the state is to be.
    voters: names of the members that were there when it was made. Later ones neither load it nor are waited for, so
        that a model which ends every server that loads it is given up when they have gone.
    until: when it is given up, Unix ms by the store's clock.
    """

    id: str
    routing: Routing
    previous: str | None
    voters: tuple[str, ...]
    until: int


@dataclass(frozen=True, slots=True)
class Ended:
    """What became of a proposal. fault: why it was given up; None where it came into effect."""

    proposal: str
    fault: str | None = None


@dataclass(frozen=True, slots=True)
class Configured:
    """The version that a configuration outside of the fleet names, as `user_config` of Ray Serve.

    proposal: the id of what came of it; None where the fleet served it already.
    fault: why that was given up; None where it came into effect, or may yet.
    """

    version: str
    proposal: str | None = None
    fault: str | None = None


@dataclass(frozen=True, slots=True)
class FleetState:
    """What all members serve. A write replaces it as a whole, under the next number.

    number: counts the writes; 0 is before the first.
    epoch: counts the changes of `routing`.
    routing: None before the first write.
    previous: the version that a rollback would make current.
    before: the routing of the epoch before, by which users are answered whose turn in the flip has not come.
    flipped_at: when the epoch was written, Unix ms by the store's clock.
    next: the change that is under way.
    ended: the last few proposals that are over, the newest last.
    configured: what a configuration outside named last, whatever was activated since; None where there is none.
    """

    number: int = 0
    epoch: int = 0
    routing: Routing | None = None
    previous: str | None = None
    before: Routing | None = None
    flipped_at: int = 0
    next: Proposal | None = None
    ended: tuple[Ended, ...] = ()
    configured: Configured | None = None


@dataclass(frozen=True, slots=True)
class Vote:
    """What a member says of a proposal. fault: why it cannot serve it; None where it has loaded and checked it."""

    proposal: str
    fault: str | None = None


@dataclass(frozen=True, slots=True)
class Member:
    """What a server tells the others.

    address: of it, for people.
    epoch: the last one that it has applied.
    versions: the models that it holds.
    vote: of the last proposal that it has looked into.
    problem: why it does not serve what it should; None while it does.
    """

    address: str
    epoch: int = 0
    versions: tuple[str, ...] = ()
    vote: Vote | None = None
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class SeenMember:
    """A member as the store knows it. left_ms: what is left of its lease; 0 or less where that is over."""

    member: Member
    left_ms: int

    @property
    def live(self) -> bool:
        return self.left_ms > 0


@dataclass(frozen=True, slots=True)
class Look:
    """The store at one moment.

    now_ms: that moment, Unix ms by the store's clock.
    members: by name, also those that were lost a short while ago.
    """

    now_ms: float
    state: FleetState
    members: Mapping[str, SeenMember] = field(default_factory=dict)

    @property
    def live(self) -> Mapping[str, Member]:
        """The members whose leases hold."""
        return {name: seen.member for name, seen in self.members.items() if seen.live}


class FleetStore(Protocol):
    """Keeps a fleet's state. Every method but `close` raises HistoryUnavailable when the store is away or slow."""

    async def look(self, name: str | None, member: Member, lease_ms: int) -> Look:
        """Renew a member's lease and look, in one step. name: None only looks."""

    async def write(self, state: FleetState, *, expected: int, flips: bool) -> bool:
        """Write the state under its number, and with `flips` the store's time as its `flipped_at`.

        Returns False, and writes nothing, if `expected` is no longer the last number.
        """

    async def leave(self, name: str) -> None:
        """Forget a member."""

    async def close(self) -> None:
        """Release connections."""
