"""The server's keys, and the changes that were made with them."""

from __future__ import annotations

import datetime
import functools
from collections.abc import Iterable

from gemserve_client import responses
from gemserve_client.endpoints.call import Call, Repeat, given, quoted, reading
from gemserve_client.responses import Key, NewKey
from gemserve_client.values.decode import read_list
from gemserve_client.values.plain import plain, plain_list

__all__ = ["audit", "create_key", "keys", "revoke_key"]


def keys() -> Call[tuple[Key, ...]]:
    """The server's keys, without their secrets."""
    return Call("GET", "/admin/keys", functools.partial(read_list, Key))


def create_key(
    name: str,
    scopes: Iterable[str],
    *,
    rate_per_second: float | None = None,
    burst: int | None = None,
    concurrency: int | None = None,
    expires_at: str | datetime.datetime | None = None,
    filter_by: str | None = None,
    routes: Iterable[str] | None = None,
) -> Call[NewKey]:
    """A new key for the scopes, of read, write and admin, with its own limits if any. Only this answer has the key.

    expires_at: from when on it is no key any more; a time zone is needed.
    filter_by: the only items that it sees, and takes events about.
    routes: the only ones that it opens, such as "POST /search", by which this client asks.
    """
    limits = given(
        rate_per_second=rate_per_second,
        burst=burst,
        concurrency=concurrency,
        expires_at=expires_at,
        filter_by=filter_by,
    )
    if routes is not None:
        limits["routes"] = plain_list(routes, "routes")
    body = {"name": plain(name, "name"), "scopes": plain_list(scopes, "scopes"), **limits}
    return Call("POST", "/admin/keys", reading(NewKey), body=body, repeat=Repeat.UNDONE)


def revoke_key(key_id: str) -> Call[None]:
    """The key opens nothing from now on."""
    return Call("DELETE", f"/admin/keys/{quoted(key_id, 'key_id')}", lambda _: None)


def audit(*, limit: int | None = None, cursor: str | None = None) -> Call[responses.AuditPage]:
    """The latest changes and who made them, the newest first; `cursor`: `next_cursor` of the page before."""
    query = given(limit=limit, cursor=cursor)
    return Call("GET", "/admin/audit", reading(responses.AuditPage), query)
