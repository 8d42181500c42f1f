"""gemserve on Ray Serve 2.60: each replica is a server of a fleet, with its own engine.

    serve deploy deploy/ray/serve.yaml

This folder and the one of `server` are in PYTHONPATH on every node, and the variables of docs/operations.md, "Ray
Serve", in the environment of every `ray start`.
"""

from __future__ import annotations

from collections.abc import Callable

from fastapi import FastAPI
from ray import serve
from ray.serve import Application
from replica import Replica, server

__all__ = ["application", "application_of"]


def application_of(server: Callable[[], FastAPI]) -> Application:
    """server: makes what each replica serves; tests have one with another engine."""
    return serve.deployment(name="gemserve")(serve.ingress(server)(Replica)).bind()


application = application_of(server)
