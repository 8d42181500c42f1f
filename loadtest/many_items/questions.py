"""Asks a catalog of many items as a server does, part by part, but for HTTP and histories in Redis.

Every third question is a search with a history, a search and a recommendation. A third has a filter.
"""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any, cast

import numpy as np

from catalog.data.changes import Change, Delete, Upsert
from catalog.search.guidance import Prior
from catalog.suggestions import Screen
from catalog.text.prompts import Interaction, Task
from loadtest.measure.errors import LoadtestError
from loadtest.synthetic.shop import UntaughtShop
from server.engine.protocol import Engine, RankRequest
from server.query.listing.suggestions import Suggestor
from server.retrieval.facets import counted_items, facets_of
from server.retrieval.live_catalog import LiveCatalog, Searcher
from server.retrieval.priors.state import PriorState
from server.serving.router import Router

__all__ = ["Asking", "percentiles"]

K, WIDTH = 10, 20
FACETS = {"brand": "brand", "categories": "categories"}
SUGGESTED = ("queries", "categories", "items")


class Asking:
    """seconds: of every part of every question, and of every kind of change."""

    def __init__(self, catalog: LiveCatalog, engine: Engine, shop: UntaughtShop) -> None:
        self.seconds: defaultdict[str, list[float]] = defaultdict(list)
        self._catalog, self._engine, self._shop = catalog, engine, shop
        router = cast(Router, SimpleNamespace(current=SimpleNamespace(catalog=catalog)))
        self._suggestor = Suggestor(router, Screen())
        self._asked = 0

    async def questions(self, number: int, seed: int) -> None:
        """Ask so many, one after the other."""
        for text, history_H in self._shop.questions(number, seed):
            expression = f"price < {20 + self._asked % 10}" if self._asked % 9 < 3 else None
            with self._timed("answer"):
                await self._answer(text, history_H.tolist(), expression)
            if text is not None:
                await self._count(expression)
                with self._timed("suggestions"):
                    await self._suggestor.suggest(text[: 1 + self._asked % 8], 5, SUGGESTED, None, None)

    async def changes(self, number: int, seed: int) -> None:
        """Insert, replace and delete an item so often. Raises LoadtestError where a question does not see it."""
        for turn, record in zip(range(number), self._shop.records(seed), strict=False):
            own = record | {"item_id": f"new {turn}", "title": f"{record['title']} number {turn}"}
            again = own | {"title": f"another {own['title']}"}
            steps: list[tuple[str, Change]] = [
                ("insert", Upsert(own)),
                ("replace", Upsert(again)),
                ("delete", Delete(own["item_id"])),
            ]
            for kind, change in steps:
                with self._timed(kind):
                    await self._catalog.apply([change])
                title = again["title"] if kind == "replace" else own["title"]
                found = await self._answer(title, [], None)
                if self._catalog.searcher.priors is None:  # a model that has learned nothing finds no title
                    found = self._titled(own["item_id"], title)
                if (own["item_id"] in found) != (kind != "delete"):
                    raise LoadtestError(f"the {kind} of an item does not show in the next answer")

    def _titled(self, item_id: str, title: str) -> list[str]:
        """The id, if the catalog has an item of that id and title."""
        items = self._catalog.searcher.items
        row = items.row_of(item_id)
        return [] if row is None or items.title(row) != title else [item_id]

    async def _answer(self, text: str | None, history: Sequence[int], expression: str | None) -> list[str]:
        """The ids that answer a question, the best first."""
        self._asked += 1
        with self._catalog.use() as searcher:
            if text is not None:
                with self._timed("spelling"):
                    await self._catalog.spelling.correct(text)
            prior = None if searcher.priors is None else await self._prior(text, history, searcher.priors)
            with self._timed("prompt"):
                prompt = searcher.prompts.render([Interaction(leaf) for leaf in history], text)
            began = time.perf_counter()
            async with searcher.eligible.limit(expression) as filter_id:
                if expression is not None:
                    self.seconds["filter"].append(time.perf_counter() - began)
                with self._timed("engine"):
                    ranking = await self._engine.rank(
                        RankRequest(
                            prompt,
                            K,
                            WIDTH,
                            f"many-{self._asked}",
                            filter_id=filter_id,
                            index_id=searcher.installed,
                            prior=prior,
                        )
                    )
            with self._timed("records"):
                records = [searcher.items.record(leaf) for leaf in ranking.leaves]
        if len(records) < K or (expression is not None and not all(_cheap(record, expression) for record in records)):
            raise LoadtestError(f"{text!r} with {expression!r} has not {K} items that it allows")
        return [str(record["item_id"]) for record in records]

    async def _prior(self, text: str | None, history: Sequence[int], state: PriorState) -> Prior:
        with self._timed("prior"):
            task: Task = "recommendation" if text is None else "search"
            guided = await self._catalog.priors.prior(task, text, history, state)
        for part, seconds in guided.seconds.items():
            self.seconds[f"prior: {part}"].append(seconds)
        return guided.prior

    async def _count(self, expression: str | None) -> None:
        with self._timed("facets"):
            await asyncio.to_thread(_facets, self._catalog.searcher, expression)

    @contextmanager
    def _timed(self, part: str) -> Iterator[None]:
        began = time.perf_counter()
        yield
        self.seconds[part].append(time.perf_counter() - began)


def _facets(searcher: Searcher, expression: str | None) -> None:
    counted = counted_items(searcher.eligible, searcher.facets, expression, None, None, ())
    facets_of(counted, searcher.facets, FACETS, 10, disjunctive=True)


def _cheap(record: dict[str, Any], expression: str) -> bool:
    return bool(record["price"] < float(expression.rpartition("< ")[2]))


def percentiles(seconds: Sequence[float]) -> dict[str, float]:
    """p50 and p99 in milliseconds, and of how many."""
    p50, p99 = np.percentile(np.array(seconds) * 1000, (50, 99)).tolist()
    return {"p50_ms": round(p50, 3), "p99_ms": round(p99, 3), "times": len(seconds)}
