"""Override sync: the overrides are the same in every server on one store, and survive restarts."""

from __future__ import annotations

import orjson

from server.core import metrics
from server.retrieval.override_reader import OverrideReader
from server.serving.sync.shared_sync import POLL_SECONDS, SharedSync
from server.storage.overrides import Override
from server.storage.protocol import OverrideStore

__all__ = ["MAX_BYTES", "MAX_OVERRIDES", "OverrideSync"]

MAX_OVERRIDES = 10_000
MAX_BYTES = 5_000_000
"""Of all overrides together, as JSON."""


class OverrideSync(SharedSync[Override]):
    """Writes this server's changes of the overrides and reads those of others."""

    limits = (
        (MAX_OVERRIDES, f"over {MAX_OVERRIDES:,} overrides"),
        (MAX_BYTES, f"over {MAX_BYTES:,} bytes of overrides"),
    )

    def __init__(self, reader: OverrideReader, store: OverrideStore, *, poll_seconds: float = POLL_SECONDS) -> None:
        super().__init__(reader.replace, store, "overrides", poll_seconds)

    def size(self, one: Override) -> tuple[int, ...]:
        return 1, len(orjson.dumps(one))

    def describe_in_metrics(self, number: int) -> None:
        metrics.OVERRIDES.set(len(self.entries))
        metrics.OVERRIDES_VERSION.set(number)
