"""Keys, and the changes that were made with them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from gemserve_client.responses.body import Body

__all__ = ["AuditPage", "AuditedChange", "Key", "NewKey"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Key(Body):
    """`created` and `last_used`, on the server that was asked and since it started, are in ISO 8601."""

    id: str
    name: str
    scopes: tuple[str, ...]
    created: str
    rate_per_second: float | None = None
    burst: int | None = None
    concurrency: int | None = None
    expires_at: str | None = None
    filter_by: str | None = None
    routes: tuple[str, ...] | None = None
    last_used: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NewKey(Key):
    """`key` is told this once, and is not in the repr."""

    key: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditedChange(Body):
    """A change over HTTP and the key that it came with; `at`: Unix milliseconds. `target`: what the route leaves open,
    such as an item's id, and of a user SHA-256 of the id."""

    at: int
    request_id: str
    key: str | None = None
    key_name: str | None = None
    address: str
    method: str
    route: str
    target: Mapping[str, str] = field(default_factory=dict)
    status: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditPage(Body):
    """Changes, the newest first."""

    changes: tuple[AuditedChange, ...]
    next_cursor: str | None = None
