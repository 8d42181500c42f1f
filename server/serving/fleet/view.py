"""What one member knows of its fleet, and by which models it may answer.

Nobody goes back to an older model, however the clocks of the servers differ and whoever stops for a while:

* A member answers by what it has read only while its lease holds, which it counts from the moment before it asked. When
  a new epoch is written, all members that do not know of it have leases that end within `lease`.
* Users change their model one after another, each at a moment of the store's clock, the first `lease` after the epoch
  was written. So whoever answers then knows of it.
* A member answers a user by the new models once the store's clock is certainly past that user's moment, by the old ones
  while it is certainly before it, and waits in between: as long as its knowledge of that clock is uncertain, which
  is the time that the quickest answer of the store took, a millisecond or so.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from server.serving.fleet.clock import MAX_DRIFT, StoreClock
from server.serving.fleet.times import FleetTimes
from server.storage.shared.fleet_state import FleetState, Look, Routing

__all__ = ["FleetView", "Wait"]

HASH_BYTES = 8


@dataclass(frozen=True, slots=True)
class Wait:
    """Ask again after so many ms."""

    ms: float


class FleetView:
    """Has no clock of its own: `at`, `asked` and `answered` are ms of one that never steps."""

    def __init__(self, times: FleetTimes) -> None:
        self.times = times
        self.look: Look | None = None
        self._clock = StoreClock()
        self._lease_ends = float("-inf")

    @property
    def state(self) -> FleetState:
        """As it was read last; one without a routing before the first time."""
        return FleetState() if self.look is None else self.look.state

    def take(self, look: Look, asked: float, answered: float) -> None:
        """Learn what a look found that was asked and answered at these moments.

        What this member knows to be newer it keeps, so that a store which lost it cannot take it back.
        """
        self._clock.learn(asked, answered, look.now_ms)
        # Shorter by what the clocks may run apart, and by the millisecond to which the store's was cut.
        self._lease_ends = max(self._lease_ends, asked + self.times.lease * (1 - 2 * MAX_DRIFT) - 1)
        known = self.state
        newer = (look.state.epoch, look.state.number) >= (known.epoch, known.number)
        self.look = look if newer else Look(look.now_ms, known, look.members)

    def lapsed(self, at: float) -> bool:
        """Whether the lease is over, so that the store must be looked at before anybody is answered."""
        return at >= self._lease_ends

    def routing_of(self, key: str | None, at: float) -> Routing | Wait | None:
        """By which models a query with this key is answered; None while nothing is known."""
        state = self.state
        if state.before is None:
            return state.routing
        moment = self.moment_of(key)
        earliest, latest = self._clock.bounds(at)
        if latest < moment:
            return state.before
        return state.routing if earliest >= moment else Wait(moment - earliest)

    def moment_of(self, key: str | None) -> float:
        """When queries with this key pass to the models of the present epoch, by the store's clock."""
        return self._begins + self.times.flip * _position(key, self.state.epoch)

    def flipping(self, at: float) -> bool:
        """Whether some user may still be answered by the models of the epoch before."""
        return self.state.before is not None and self._clock.bounds(at)[0] < self._begins + self.times.flip

    def answering(self, at: float) -> list[Routing]:
        """The routings by which somebody may be answered now, the newest first."""
        state = self.state
        if state.routing is None:
            return []
        return [state.routing, *([state.before] if state.before is not None and self.flipping(at) else [])]

    @property
    def _begins(self) -> float:
        return self.state.flipped_at + self.times.lease


def _position(key: str | None, epoch: int) -> float:
    """Where in the flip a user's turn comes, from 0 to 1: others are first each time."""
    named = f"{epoch}\0{key or ''}".encode("utf-8", "surrogatepass")
    return float(int.from_bytes(hashlib.blake2b(named, digest_size=HASH_BYTES).digest()) / 2 ** (8 * HASH_BYTES))
