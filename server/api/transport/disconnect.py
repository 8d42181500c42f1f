"""Cancels the work for a client that closes its connection, as pages do that search while somebody types.

ASGI reports a closed connection only to whoever awaits the next message, which would take a second task for every
request. So the route leaves a callback in the request's state, and the protocol (server/api/transport/protocol.py)
calls it when the connection is lost.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from fastapi import Request
from starlette.requests import ClientDisconnect

__all__ = ["cancel_on_disconnect", "notify_disconnect"]

ON_DISCONNECT = "on_disconnect"


@contextmanager
def cancel_on_disconnect(request: Request) -> Iterator[None]:
    """Cancels what runs inside when the request's client leaves, and raises ClientDisconnect then."""
    task = asyncio.current_task()
    assert task is not None, "a route runs in one"
    left = False

    def cancel() -> None:
        nonlocal left
        left = True
        task.cancel()

    state = request.scope["state"]
    state[ON_DISCONNECT] = cancel
    try:
        yield
    except asyncio.CancelledError as error:
        if left and task.uncancel() == 0:
            raise ClientDisconnect from error
        raise
    finally:
        del state[ON_DISCONNECT]


def notify_disconnect(scope: Any) -> None:
    """Tells the request of this ASGI scope that its client has left."""
    callback = scope.get("state", {}).get(ON_DISCONNECT)
    if callback is not None:
        callback()
