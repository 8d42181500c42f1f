"""A fleet: servers on one Redis that change their models together, so that nobody goes back to an older one."""

from server.serving.fleet.fleet import Fleet
from server.serving.fleet.times import USUAL, FleetTimes

__all__ = ["USUAL", "Fleet", "FleetTimes"]
