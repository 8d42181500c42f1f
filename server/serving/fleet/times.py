"""How long the steps of a fleet take. All members must have the same times: one's lease is what others count on."""

from dataclasses import dataclass

__all__ = ["USUAL", "FleetTimes"]


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetTimes:
    """Milliseconds.

    lease: for how long a member answers by what it has read last, and for how long a change waits before it begins.
    look: between two looks at the store.
    flip: from the first user who gets another model to the last one.
    load: for which a change waits for its voters to load it.
    """

    lease: int = 3_000
    look: int = 500
    flip: int = 5_000
    load: int = 1_800_000


USUAL = FleetTimes()
