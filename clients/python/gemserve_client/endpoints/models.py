"""The published bundles, the traffic among them, and the fleet that serves them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from gemserve_client import responses
from gemserve_client.endpoints.call import Call, Repeat, quoted, reading
from gemserve_client.values.plain import plain_record

__all__ = ["ACTIVATION_SECONDS", "activate", "clear_traffic", "fleet", "model", "models", "roll_back", "set_traffic"]

T = TypeVar("T")

ACTIVATION_SECONDS = 600.0  # a model of some size takes minutes to load


def models() -> Call[responses.Models]:
    """The published bundles, and which of them answer."""
    return Call("GET", "/admin/models", reading(responses.Models))


def model(version: str) -> Call[responses.Model]:
    """One bundle: how it was evaluated beside the baselines, and how far it is where it is about to be served."""
    return Call("GET", f"/admin/models/{quoted(version, 'version')}", reading(responses.Model))


def activate(version: str) -> Call[responses.Activation]:
    """Serves another bundle; returns when it does, which can take minutes."""
    return _slow("POST", f"/admin/models/{quoted(version, 'version')}/activate", responses.Activation)


def roll_back() -> Call[responses.Activation]:
    """Serves the bundle that was served before the last activation."""
    return _slow("POST", "/admin/models/rollback", responses.Activation)


def set_traffic(weights: Mapping[str, int]) -> Call[responses.Traffic]:
    """Has versions share the users among them by weight; returns when all of them answer."""
    return _slow("PUT", "/admin/traffic", responses.Traffic, {"weights": plain_record(weights, "weights")})


def clear_traffic() -> Call[responses.Traffic]:
    """Has the current version answer everybody."""
    return _slow("DELETE", "/admin/traffic", responses.Traffic)


def fleet() -> Call[responses.Fleet]:
    """What the servers of a fleet serve together, and each of them."""
    return Call("GET", "/admin/fleet", reading(responses.Fleet))


def _slow(method: str, path: str, kind: type[T], body: object = None) -> Call[T]:
    """A call that loads a model. While a first attempt may still be at it, a second would only be told that it is."""
    return Call(method, path, reading(kind), body=body, repeat=Repeat.UNDONE, read_seconds=ACTIVATION_SECONDS)
