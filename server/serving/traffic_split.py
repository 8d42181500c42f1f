"""How requests are shared among models that answer side by side.

A stable hash of the user decides, so the same person is answered by the same model on every server and after a restart.
When weights change, only as many users change their model as they must; another pair of models deals the users anew.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import accumulate

__all__ = ["Traffic"]

HASH_BYTES = 8


@dataclass(frozen=True, slots=True)
class Traffic:
    """weights: of every version, positive; a version's share is its weight's part of their sum."""

    weights: Mapping[str, int]

    def version_of(self, key: str) -> str:
        """Who answers requests with this key: a user, a session, or a request id."""
        versions = sorted(self.weights)
        ends = list(accumulate(self.weights[version] for version in versions))
        named = "\0".join([*versions, key]).encode("utf-8", "surrogatepass")
        digest = hashlib.blake2b(named, digest_size=HASH_BYTES).digest()
        place = int.from_bytes(digest) * ends[-1] >> 8 * HASH_BYTES  # 0 … sum of weights - 1
        return next(version for version, end in zip(versions, ends, strict=True) if place < end)

    def without(self, version: str) -> Traffic | None:
        """For those that are left; None for a single one, which answers everything."""
        left = {name: weight for name, weight in self.weights.items() if name != version}
        return Traffic(left) if len(left) > 1 else None
