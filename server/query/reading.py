"""How a query's text is read: prices in it become a filter, the rest is corrected, and synonyms count."""

from __future__ import annotations

from dataclasses import dataclass, replace

from catalog.priors.words import NO_WORDINGS, Wordings
from server.query.types import Query
from server.retrieval.live_catalog import LiveCatalog
from server.retrieval.price_reader import Understanding, joined_filter
from server.retrieval.synonym_reader import SynonymReader

__all__ = ["Reading", "read_text"]


@dataclass(frozen=True, slots=True)
class Reading:
    """A query's text and filter, as they are searched.

    text: what the priors read; None for a query without a text.
    filter: the query's own, joined with what was understood.
    corrected: the text, where misspellings were corrected.
    understood: what became part of the filter or has synonyms; None where nothing does.
    wordings: what the text is also read as.
    model_text: what the model reads in the text's place; None for the text.
    overrides_filter: what overrides ask of items, which is part of the filter.
    """

    text: str | None
    filter: str | None
    corrected: str | None = None
    understood: Understanding | None = None
    wordings: Wordings = NO_WORDINGS
    model_text: str | None = None
    overrides_filter: str | None = None

    @property
    def further_filter(self) -> str | None:
        """What the filter has beside the query's own: what the text says of items, and what overrides ask of them."""
        understood = None if self.understood is None else self.understood.filter
        return " and ".join(part for part in (understood, self.overrides_filter) if part is not None) or None


async def read_text(query: Query, catalog: LiveCatalog, known: SynonymReader) -> Reading:
    """Reads a query's text with the words and numbers of a catalog, and with synonyms."""
    text, filter_, understood = query.text, query.filter, None
    if text is None:
        return Reading(None, filter_)
    if query.understand and (found := await catalog.prices.read(text)) is not None and found.filter is not None:
        joined = joined_filter(filter_, found.filter)
        if joined is not None:
            text, filter_, understood = found.query or text, joined, found
    prefix = query.prefix and bool(query.guidance) and catalog.priors.exists  # else nothing reads it as one
    synonyms = await known.of(await catalog.priors.language()) if known.sets else None
    phrases = () if synonyms is None else synonyms.phrases
    correct = catalog.spelling.correct
    corrected = await correct(text, prefix=prefix, further=phrases) if query.correct else None
    text, wordings = corrected or text, NO_WORDINGS
    if synonyms is not None:
        wordings = synonyms.read(text) if query.understand else synonyms.keep()
    if wordings.read_as:
        understood = replace(understood or Understanding(None, None, query.text or ""), synonyms=wordings.read_as)
    return Reading(text, filter_, corrected, understood, wordings, await _model_text(wordings, catalog))


async def _model_text(wordings: Wordings, catalog: LiveCatalog) -> str | None:
    """The first wording that replaces only words that neither items nor people have, by words that they have: the model
    knows these better than what was typed."""
    if not wordings.others:
        return None
    lexicon = await catalog.spelling.load()
    return next(
        (
            other.text
            for other in wordings.others
            if all(lexicon.has(each.read_as) and not lexicon.has(each.word) for each in other.replaced)
        ),
        None,
    )
