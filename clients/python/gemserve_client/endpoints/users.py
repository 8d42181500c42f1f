"""A user's history."""

from __future__ import annotations

from gemserve_client import responses
from gemserve_client.endpoints.call import Call, given, quoted, reading
from gemserve_client.values.plain import plain_id

__all__ = ["erase", "history", "merge"]


def history(user: str | int, *, limit: int | None = None) -> Call[responses.History]:
    """What a user did, the newest first; nobody knows an unknown user, whose history is empty."""
    return Call("GET", f"/users/{quoted(user, 'user')}/history", reading(responses.History), given(limit=limit))


def merge(user: str | int, session: str | int) -> Call[responses.Merge]:
    """Moves what was recorded under a session into a user's history. A second time moves nothing."""
    return Call(
        "POST",
        f"/users/{quoted(user, 'user')}/merge",
        reading(responses.Merge),
        body={"session": plain_id(session, "session")},
    )


def erase(user: str | int) -> Call[responses.Erasure]:
    """Forgets everything that a user, and the sessions merged into theirs, did before now."""
    return Call("DELETE", f"/users/{quoted(user, 'user')}", reading(responses.Erasure))
