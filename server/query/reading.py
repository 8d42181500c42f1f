"""How a query's text is read: prices in it become a filter, and the rest is corrected."""

from __future__ import annotations

from dataclasses import dataclass

from server.query.types import Query
from server.retrieval.live_catalog import LiveCatalog
from server.retrieval.price_reader import Understanding, joined_filter

__all__ = ["Reading", "read_text"]


@dataclass(frozen=True, slots=True)
class Reading:
    """A query's text and filter, as they are searched.

    text: what the model and the priors read; None for a query without a text.
    filter: the query's own, joined with what was understood.
    corrected: the text, where misspellings were corrected.
    understood: what became part of the filter; None where nothing did.
    """

    text: str | None
    filter: str | None
    corrected: str | None = None
    understood: Understanding | None = None


async def read_text(query: Query, catalog: LiveCatalog) -> Reading:
    """Reads a query's text with the words and numbers of a catalog."""
    text, filter_, understood = query.text, query.filter, None
    if text is None:
        return Reading(None, filter_)
    if query.understand and (found := await catalog.prices.read(text)) is not None:
        joined = joined_filter(filter_, found.filter)
        if joined is not None:
            text, filter_, understood = found.query or text, joined, found
    prefix = query.prefix and bool(query.guidance) and catalog.priors.exists  # else nothing reads it as one
    corrected = await catalog.spelling.correct(text, prefix=prefix) if query.correct else None
    return Reading(corrected or text, filter_, corrected, understood)
