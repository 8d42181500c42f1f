"""Measures suggestions of a made-up shop, without HTTP:

    python -m loadtest.suggest --items 2000,100000 --json suggest.json [--rounds 500] [--seed 0]

Of each size the milliseconds of one call for all kinds, p50 and p99, by the clock and of processor time, where somebody
types the shop's queries letter by letter, and again with a filter and for nothing typed; and of counting an event. As
many queries as items. On a busy machine the clock is that of others too; processor time is the call's own.
"""

import argparse
import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict
from itertools import count, cycle
from pathlib import Path
from time import perf_counter, process_time
from types import SimpleNamespace
from typing import Any, cast

import numpy as np

from catalog.bundle.bundle import Bundle
from catalog.data.event_weights import EQUAL_WEIGHTS
from catalog.facets import FacetIndex
from catalog.ids.index import ItemIndex
from catalog.priors.priors import Priors
from catalog.priors.weights import USUAL_WEIGHTS
from catalog.snapshot import Snapshot
from catalog.suggestions import MIN_PEOPLE, Screen, TypedQueries, TypedQuery, key_of
from loadtest.measure.machine import Machine
from loadtest.measure.tables import print_table
from loadtest.synthetic.shop import Shop
from server.engine.protocol import Engine
from server.query.listing.suggestions import Suggestor
from server.retrieval.eligibility import EligibleItems
from server.retrieval.live_catalog import Searcher
from server.retrieval.priors.source import PriorSource
from server.retrieval.suggester import Suggester
from server.serving.router import Router

Figures = dict[str, Any]
K = 5
KINDS = ("queries", "categories", "items")
NOW = 1_790_000_000_000


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print a table and write the JSON."""
    parser = argparse.ArgumentParser(prog="python -m loadtest.suggest", description="Measure suggestions.")
    parser.add_argument("--items", default="2000,100000", help="sizes of the catalog, as in 1000,10000")
    parser.add_argument("--json", type=Path, required=True, help="where to write the figures")
    parser.add_argument("--rounds", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    rows = [asyncio.run(measure(int(items), options.rounds, options.seed)) for items in options.items.split(",")]
    print_table("suggestions, milliseconds", tuple(rows[0]), [list(row.values()) for row in rows])
    options.json.write_text(json.dumps({"rows": rows, "machine": asdict(Machine.here())}, indent=1) + "\n")


async def measure(items: int, rounds: int, seed: int) -> Figures:
    """The figures of one catalog."""
    shop, draw = Shop.of(items, seed), np.random.default_rng(seed)
    typed = _typed_queries(shop, items, draw)
    suggester, suggestor = _served(shop, typed)
    texts = cycle([query.text for query in typed.queries])
    beginnings = (text[:end] for text in texts for end in range(1, min(len(text), 15) + 1))
    number = count()

    async def counted() -> None:
        who = next(number)
        suggester.completions.add(f"user-{who}", typed.queries[who % 50].text, NOW)

    calls: dict[str, Callable[[], Awaitable[object]]] = {
        "typing": lambda: suggestor.suggest(next(beginnings), K, KINDS, None, None),
        "filtered": lambda: suggestor.suggest(next(beginnings), K, KINDS, "price < 100", None),
        "nothing_typed": lambda: suggestor.suggest("", K, KINDS, None, None),
        "event": counted,
    }
    figures: Figures = {"items": items, "queries": len(suggester.completions)}
    for name, call in calls.items():
        await call()
        seconds_R2 = np.array([await _timed(call) for _ in range(rounds)])
        for percent in (50, 99):
            clock, processor = (1_000 * np.percentile(seconds_R2, percent, axis=0)).round(3).tolist()
            figures |= {f"{name}_p{percent}_ms": clock, f"{name}_cpu_p{percent}_ms": processor}
    return figures


def _typed_queries(shop: Shop, wanted: int, draw: np.random.Generator) -> TypedQueries:
    """The shop's queries and pairs of its words, as many as are wanted."""
    words = draw.choice(np.array(shop.words), (2 * wanted, 2))
    texts = {key: text for text in (*shop.asked, *map(" ".join, words.tolist())) if (key := key_of(text))}
    people = MIN_PEOPLE + draw.zipf(1.5, len(texts)).clip(max=10_000)
    every = zip(texts.values(), people.tolist(), strict=True)
    queries = [TypedQuery(text=text, people=n, weight=n, last=NOW) for text, n in every]
    return TypedQueries(queries=tuple(queries[:wanted]))


def _served(shop: Shop, typed: TypedQueries) -> tuple[Suggester, Suggestor]:
    """What suggests in a server, without an engine."""
    size = int(len(shop.items) ** 0.5) + 1
    codes_NL = np.stack(np.divmod(np.arange(len(shop.items)), size), 1)
    snapshot = Snapshot.published(shop.items, codes_NL, ItemIndex.build(codes_NL, (size, size))[0])
    parts = SimpleNamespace(
        version="made-up",
        has_priors=True,
        items=shop.items,
        priors=Priors(shop.items, shop.learned),
        prior_weights=USUAL_WEIGHTS,
        typed_queries=typed,
        event_weights=EQUAL_WEIGHTS,
    )
    bundle, engine = cast(Bundle, parts), cast(Engine, None)
    source, suggester = PriorSource(bundle, engine), Suggester(bundle)
    eligible = EligibleItems(snapshot, engine, 0, count())
    searcher = Searcher(
        snapshot, cast(Any, None), eligible, 0, source.published(snapshot), FacetIndex(shop.items.table)
    )
    catalog = SimpleNamespace(searcher=searcher, priors=source, suggester=suggester, version="made-up")
    router = cast(Router, SimpleNamespace(current=SimpleNamespace(catalog=catalog)))
    return suggester, Suggestor(router, Screen())


async def _timed(call: Callable[[], Awaitable[object]]) -> tuple[float, float]:
    """Seconds by the clock and of all threads' processor time."""
    begun, before = perf_counter(), process_time()
    await call()
    return perf_counter() - begun, process_time() - before


if __name__ == "__main__":
    main()
