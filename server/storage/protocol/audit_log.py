"""The audit log: changes that people made over HTTP."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

__all__ = ["AuditLog", "AuditPage", "AuditedChange", "ChangeMade"]


@dataclass(frozen=True, slots=True)
class ChangeMade:
    """A change that somebody made over HTTP.

    key, key_name: id and name of the key that it came with; None where none was needed.
    address: where it came from; empty where that is not known.
    method, route: as the OpenAPI document has them.
    target: the part of the address that the route leaves open, such as an item's id; of a user SHA-256 of the id.
    """

    request_id: str
    key: str | None
    key_name: str | None
    address: str
    method: str
    route: str
    target: Mapping[str, str]
    status: int


@dataclass(frozen=True, slots=True)
class AuditedChange:
    """A change of the audit log. name: of its place there, Unix ms by the clock of the store and a number."""

    name: str
    change: ChangeMade


@dataclass(frozen=True, slots=True)
class AuditPage:
    """Changes, the newest first. more: whether there are older ones."""

    changes: tuple[AuditedChange, ...]
    more: bool


class AuditLog(Protocol):
    """Keeps the latest changes. Every method but `close` raises HistoryUnavailable when the store is away or slow."""

    async def add(self, change: ChangeMade) -> None:
        """Write a change."""

    async def latest(self, limit: int, before: str | None = None) -> AuditPage:
        """The latest `limit` changes. before: a place; older ones than that only."""

    async def close(self) -> None:
        """Release connections."""
