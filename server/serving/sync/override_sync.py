"""Override sync: the overrides are the same in every server on one store, and survive restarts."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import orjson

from server.core import metrics
from server.retrieval.override_reader import OverrideReader
from server.serving.sync.shared_sync import POLL_SECONDS, SharedSync
from server.storage.overrides import Override
from server.storage.protocol import OverrideStore

__all__ = ["MAX_CHARACTERS", "MAX_OVERRIDES", "OverrideSync", "TooManyOverrides"]

MAX_OVERRIDES = 10_000
MAX_CHARACTERS = 4_000_000
"""Bytes of all overrides together, as JSON."""

Overrides = Mapping[str, Override]


class TooManyOverrides(Exception):
    """There would be more overrides than MAX_OVERRIDES, or larger ones than MAX_CHARACTERS. It says which."""


class OverrideSync(SharedSync[Override]):
    """Writes this server's changes of the overrides and reads those of others. `put` raises TooManyOverrides too."""

    def __init__(self, reader: OverrideReader, store: OverrideStore, *, poll_seconds: float = POLL_SECONDS) -> None:
        super().__init__(reader.replace, store, "overrides", poll_seconds)

    async def check(self, before: Overrides, after: Overrides) -> None:
        if len(after) < len(before):
            return
        if len(after) > MAX_OVERRIDES:
            raise TooManyOverrides(f"over {MAX_OVERRIDES:,} overrides")
        if await asyncio.to_thread(_characters, after) > MAX_CHARACTERS:
            raise TooManyOverrides(f"over {MAX_CHARACTERS:,} characters of overrides")

    def describe_in_metrics(self, number: int) -> None:
        metrics.OVERRIDES.set(len(self.entries))
        metrics.OVERRIDES_VERSION.set(number)


def _characters(overrides: Overrides) -> int:
    return sum(len(orjson.dumps(one)) for one in overrides.values())
