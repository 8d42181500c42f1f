"""Which model answers, and whether the server can."""

from __future__ import annotations

from gemserve_client import responses
from gemserve_client.endpoints.call import Call, Repeat, reading

__all__ = ["ready", "version"]


def version() -> Call[responses.Version]:
    """Which model answers, over which catalog."""
    return Call("GET", "/version", reading(responses.Version))


def ready() -> Call[responses.Readiness]:
    """Whether the server can answer now. Raises Unavailable, at once, where it cannot."""
    return Call("GET", "/health/ready", reading(responses.Readiness), repeat=Repeat.NEVER)
