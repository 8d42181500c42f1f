"""Suggestions for one request: what a catalog suggests to a caller, in one thread and without the engine."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from catalog.suggestions import Completion, Screen
from server.core import metrics
from server.retrieval.suggester import SuggestedItem, SuggestedValue, best_items, shown_within
from server.serving.router import Router

__all__ = ["Suggestions", "Suggestor"]


@dataclass(frozen=True, slots=True)
class Suggestions:
    """What is suggested. records: of `items`, whole."""

    model: str
    catalog_version: int
    queries: Sequence[Completion]
    values: Sequence[SuggestedValue]
    items: Sequence[SuggestedItem]
    records: Sequence[Mapping[str, Any]]


class Suggestor:
    """Suggests by the model that answers most, whether or not its engine is alive."""

    def __init__(self, router: Router, screen: Screen) -> None:
        """screen: says which queries are never shown."""
        self._router = router
        self._screen = screen

    async def suggest(
        self, typed: str, k: int, kinds: Collection[str], expression: str | None, within: str | None
    ) -> Suggestions:
        """At most k of each kind.

        kinds: of queries, categories and items those that are wanted.
        expression: a filter for items and counts; None for all.
        within: a filter that says which items the caller may see at all; None for all. Such a caller is shown no
            queries, as people typed them who looked at other items.

        Raises FilterError, and Problem where `within` does not fit the items.
        """
        begun = time.perf_counter()
        catalog = self._router.current.catalog
        searcher = await catalog.searcher.within(within)
        wanted_N = None
        if searcher.priors is not None and typed.strip() and "items" in kinds:
            matching_N = await catalog.priors.matching(typed, searcher.priors)
            wanted_N = matching_N == 2
        popularity = await catalog.priors.popularity(searcher.priors)

        def make() -> Suggestions:
            shown_N = shown_within(searcher.eligible, expression)
            suggester, items = catalog.suggester, searcher.items
            asked = "queries" in kinds and within is None
            queries = suggester.queries(typed, k, self._screen.allows) if asked else []
            values = (
                suggester.values(typed, k, searcher.facets, shown_N, again=expression is None and within is None)
                if "categories" in kinds
                else []
            )
            found: list[SuggestedItem] = []
            if "items" in kinds:
                if wanted_N is not None:
                    found = best_items(typed, k, shown_N & wanted_N, popularity, items.title)
                elif not typed.strip():
                    found = best_items("", k, shown_N, popularity, items.title)
            records = [items.record(item.leaf) for item in found]
            return Suggestions(catalog.version, searcher.snapshot.number, queries, values, found, records)

        made = await asyncio.to_thread(make)
        metrics.SUGGEST_SECONDS.observe(time.perf_counter() - begun)
        return made
