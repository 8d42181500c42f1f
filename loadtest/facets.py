"""Measures facets and orders of a made-up shop:

    python -m loadtest.facets --items 10000,100000,1000000 --json facets.json [--rounds 50] [--seed 0]

Of each size the milliseconds of one answer's counts (the columns of COLUMNS, over half of the items and over the items
that a filter of two conditions lets through, plain and disjunctive), of finding what has the words of a query, and of a
page in order; and of making the codes of all columns, which happens once for a column. Medians of the rounds.
"""

import argparse
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np

from catalog.facets import FacetIndex, SortKey, count_facet, first_of, places
from catalog.priors.priors import Priors
from loadtest.measure.machine import Machine
from loadtest.measure.tables import print_table
from loadtest.measure.timing import Spread, time_once
from loadtest.synthetic.shop import Shop
from server.retrieval.facets import CountedItems, facets_of

COLUMNS = ("brand", "categories", "price")
PAGE = 10

Figures = dict[str, Any]


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print a table and write the JSON."""
    parser = argparse.ArgumentParser(prog="python -m loadtest.facets", description="Measure facets and orders.")
    parser.add_argument("--items", default="10000,100000,1000000", help="sizes of the catalog, as in 1000,10000")
    parser.add_argument("--json", type=Path, required=True, help="where to write the figures")
    parser.add_argument("--rounds", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    rows = [measure(int(items), options.rounds, options.seed) for items in options.items.split(",")]
    print_table("facets and orders, milliseconds", tuple(rows[0]), [list(row.values()) for row in rows])
    options.json.write_text(json.dumps({"rows": rows, "machine": asdict(Machine.here())}, indent=1) + "\n")


def measure(items: int, rounds: int, seed: int) -> Figures:
    """The figures of one catalog."""
    shop = Shop.of(items, seed)
    generator = np.random.default_rng(seed)
    index = FacetIndex(shop.items.table)
    made = time_once(lambda: [index.codes(name) for name in (*COLUMNS, "item_id")])
    half_N = generator.random(items) < 0.5
    parts = [(frozenset({name}), generator.random(items) < 0.3) for name in ("brand", "price")]
    counted = CountedItems(np.ones(items, bool), parts)
    columns = {name: name for name in COLUMNS}
    keys, row_K = [SortKey("price", False), SortKey("brand", True)], np.flatnonzero(half_N)
    ids_N = index.codes("item_id").code_E
    priors = Priors(shop.items, shop.learned)
    asked = cycle(shop.asked)
    calls: dict[str, Callable[[], object]] = {
        "count": lambda: [count_facet(index.codes(name), half_N, 10) for name in COLUMNS],
        "filtered": lambda: facets_of(counted, index, columns, 10, disjunctive=False),
        "disjunctive": lambda: facets_of(counted, index, columns, 10, disjunctive=True),
        "matching": lambda: priors.matching(next(asked)),
        "page": lambda: first_of([places(keys, index, row_K), ids_N[row_K]], PAGE),
    }
    figures: Figures = {"items": items, "codes_ms": round(1000 * made, 1)}
    for name, call in calls.items():
        call()
        figures[f"{name}_ms"] = round(Spread.of([time_once(call) for _ in range(rounds)]).median, 3)
    return figures


if __name__ == "__main__":
    main()
