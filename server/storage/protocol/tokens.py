"""The token buckets of a fleet, by which it limits its callers."""

from __future__ import annotations

from typing import Protocol

__all__ = ["TokenStore"]


class TokenStore(Protocol):
    """Keeps the token buckets of all callers of a fleet."""

    async def take(self, caller: str, per_second: float, capacity: float) -> float:
        """Takes a token from a caller's bucket, and returns 0; where there is none, the seconds until there is one.

        caller: `key:…` or `address:…`. per_second, capacity: of the bucket, as they are at this moment. Raises
        HistoryUnavailable when the store is away or slow.
        """

    async def close(self) -> None:
        """Release connections."""
