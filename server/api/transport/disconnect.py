"""Work for a client ends when the client leaves, as pages do that search while somebody types.

ASGI tells of it only to who asks, which would take a task for every request. So the protocol
(server/api/transport/protocol.py) says it to the request's own task, by a function that waits in the request's state.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from fastapi import Request
from starlette.requests import ClientDisconnect

__all__ = ["leave", "present"]

LEAVE = "leave"


@contextmanager
def present(request: Request) -> Iterator[None]:
    """What runs inside is cancelled when the client leaves. Raises ClientDisconnect then."""
    task = asyncio.current_task()
    assert task is not None, "a route runs in one"
    left = False

    def end() -> None:
        nonlocal left
        left = True
        task.cancel()

    state = request.scope["state"]
    state[LEAVE] = end
    try:
        yield
    except asyncio.CancelledError as error:
        if left and task.uncancel() == 0:
            raise ClientDisconnect from error
        raise
    finally:
        del state[LEAVE]


def leave(scope: Any) -> None:
    """The client of this ASGI scope has left."""
    end = scope.get("state", {}).get(LEAVE)
    if end is not None:
        end()
