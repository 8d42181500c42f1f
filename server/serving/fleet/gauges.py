"""What metrics tell of a fleet, as one of its servers sees it."""

from __future__ import annotations

from typing import get_args

from server.core import metrics
from server.core.metrics import Phase
from server.storage.shared.fleet_state import Look

__all__ = ["show"]


def show(look: Look, *, applied: int, flipping: bool) -> None:
    """applied: the epoch that this server serves. flipping: whether users are passing to the models of the epoch."""
    metrics.FLEET_EPOCH.set(look.state.epoch)
    metrics.FLEET_APPLIED_EPOCH.set(applied)
    metrics.FLEET_MEMBERS.labels("true").set(len(look.live))
    metrics.FLEET_MEMBERS.labels("false").set(len(look.members) - len(look.live))
    now: Phase = "passing" if flipping else "steady" if look.state.next is None else "loading"
    for phase in get_args(Phase):
        metrics.FLEET_PHASE.labels(phase).set(phase == now)
