"""Synonym sync: the synonyms are the same in every server on one store, and survive restarts."""

from __future__ import annotations

from collections.abc import Mapping

from catalog.priors.words import SynonymSet
from server.core import metrics
from server.retrieval.synonym_reader import SynonymReader
from server.serving.sync.shared_sync import POLL_SECONDS, SharedSync
from server.storage.protocol import SynonymStore

__all__ = ["MAX_PHRASES", "SynonymSync", "TooManySynonyms"]

MAX_PHRASES = 10_000
"""Words and phrases of all sets together."""

Sets = Mapping[str, SynonymSet]


class TooManySynonyms(Exception):
    """There would be more words and phrases than MAX_PHRASES."""


class SynonymSync(SharedSync[SynonymSet]):
    """Writes this server's changes of the synonyms and reads those of others. `put` raises TooManySynonyms too."""

    def __init__(self, reader: SynonymReader, store: SynonymStore, *, poll_seconds: float = POLL_SECONDS) -> None:
        super().__init__(reader.replace, store, "synonyms", poll_seconds)

    async def check(self, before: Sets, after: Sets) -> None:
        if len(after) >= len(before) and _phrases(after) > MAX_PHRASES:
            raise TooManySynonyms

    def describe_in_metrics(self, number: int) -> None:
        metrics.SYNONYM_SETS.set(len(self.entries))
        metrics.SYNONYM_PHRASES.set(_phrases(self.entries))
        metrics.SYNONYM_VERSION.set(number)


def _phrases(sets: Sets) -> int:
    return sum(len(one.synonyms) + (one.root is not None) for one in sets.values())
