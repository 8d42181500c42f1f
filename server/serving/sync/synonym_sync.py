"""Synonym sync: the synonyms are the same in every server on one store, and survive restarts."""

from __future__ import annotations

from catalog.priors.words import SynonymSet
from server.core import metrics
from server.retrieval.synonym_reader import SynonymReader
from server.serving.sync.shared_sync import POLL_SECONDS, SharedSync
from server.storage.protocol import SynonymStore

__all__ = ["MAX_PHRASES", "SynonymSync"]

MAX_PHRASES = 10_000
"""Words and phrases of all sets together."""


class SynonymSync(SharedSync[SynonymSet]):
    """Writes this server's changes of the synonyms and reads those of others."""

    limits = ((MAX_PHRASES, f"over {MAX_PHRASES:,} words and phrases in all sets"),)

    def __init__(self, reader: SynonymReader, store: SynonymStore, *, poll_seconds: float = POLL_SECONDS) -> None:
        super().__init__(reader.replace, store, "synonyms", poll_seconds)

    def size(self, one: SynonymSet) -> tuple[int, ...]:
        return (_phrases(one),)

    def describe_in_metrics(self, number: int) -> None:
        metrics.SYNONYM_SETS.set(len(self.entries))
        metrics.SYNONYM_PHRASES.set(sum(map(_phrases, self.entries.values())))
        metrics.SYNONYM_VERSION.set(number)


def _phrases(one: SynonymSet) -> int:
    return len(one.synonyms) + (one.root is not None)
