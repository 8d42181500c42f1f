"""Measures what guides searches, without a model:

    python -m loadtest.prior --items 10000,100000,1000000 --json prior.json [--questions 1000] [--changes 50] [--seed 0]

Of a made-up shop of each size (`loadtest/synthetic/shop.py`): `build_s` until the first question can be asked, the
memory that it takes, milliseconds a question, and milliseconds until a change of one item, an event and an erasure show
in the next question. A third of the questions has a query, a third a history, a third both. `question_ms` is on the
clock, `cpu_ms` processor time, and `quiet_ms` on the clock the quickest of ROUNDS rounds through all questions, which
tells what the work takes where other programs want the machine too; of each the 50th and the 99th percentile.
"""

import argparse
import json
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pyarrow as pa
from numpy.typing import NDArray

from catalog.data.items import Items
from catalog.priors.learned import ARRAYS, MATRICES
from catalog.priors.priors import FEATURES, Priors
from loadtest.measure.machine import Machine
from loadtest.measure.tables import print_table
from loadtest.synthetic.shop import Shop

KINDS = ("search_with_history", "search", "recommendation")
"""In the order in which `Shop.questions` gives them."""
WARM_UP = 30
ROUNDS = 5
NONE = np.empty(0, np.int64)

Figures = dict[str, Any]


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The options of the command line."""
    parser = argparse.ArgumentParser(prog="python -m loadtest.prior", description="Measure what guides searches.")
    parser.add_argument("--items", default="10000,100000,1000000", help="sizes of the catalog, as in 1000,10000")
    parser.add_argument("--json", type=Path, required=True, help="where to write the figures")
    parser.add_argument("--questions", type=int, default=1_000)
    parser.add_argument("--changes", type=int, default=50, help="of every kind, and events")
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print a table and write the JSON."""
    options = parse(arguments)
    rows = []
    for items in options.items.split(","):
        rows.append(measure(int(items), options.questions, options.changes, options.seed))
        print(json.dumps(rows[-1]), flush=True)
    shown = ("items", "build_s", "bytes_per_item", "question_ms", "cpu_ms", "quiet_ms", "change_ms", "event_ms")
    print_table("what guides searches", shown, [[row[name] for name in shown] for row in rows])
    options.json.write_text(json.dumps({"rows": rows, "machine": asdict(Machine.here())}, indent=1) + "\n")


def measure(items: int, questions: int, changes: int, seed: int) -> Figures:
    """The figures of one catalog."""
    shop = Shop.of(items, seed)
    before, began = _memory(), time.perf_counter()
    priors = Priors(shop.items, shop.learned)
    build_s, memory = time.perf_counter() - began, _memory() - before
    figures: Figures = {
        "items": items,
        "queries": len(shop.asked),
        "build_s": round(build_s, 2),
        "bytes_per_item": round(memory / items),
        "learned_bytes_per_item": round(_bytes_learned(shop) / items),
    }
    figures |= _questions(priors, shop, questions, seed)
    figures |= _changes(priors, shop, changes, seed)
    return figures | _events(priors, shop, changes, seed)


def _questions(priors: Priors, shop: Shop, questions: int, seed: int) -> Figures:
    asked = list(shop.questions(questions, seed))
    for text, history in asked[:WARM_UP]:
        priors.candidates(text, history)
    clock_RQ, cpu_RQ = np.zeros((ROUNDS, questions)), np.zeros((ROUNDS, questions))
    for turn in range(ROUNDS):
        for place, (text, history) in enumerate(asked):
            began, began_cpu = time.perf_counter(), time.thread_time()
            priors.candidates(text, history)
            clock_RQ[turn, place] = time.perf_counter() - began
            cpu_RQ[turn, place] = time.thread_time() - began_cpu
    quiet_Q = clock_RQ.min(0)
    figures = {"question_ms": clock_RQ[0], "cpu_ms": cpu_RQ[0], "quiet_ms": quiet_Q}
    figures |= {f"{kind}_quiet_ms": quiet_Q[place :: len(KINDS)] for place, kind in enumerate(KINDS)}
    return {name: _percentiles(seconds) for name, seconds in figures.items()}


def _changes(priors: Priors, shop: Shop, changes: int, seed: int) -> Figures:
    """One item is inserted, its title is changed, and it is deleted, each time until a question shows it."""
    taken: dict[str, list[float]] = {"insert": [], "replace": [], "delete": []}
    for number, record in zip(range(changes), shop.records(seed), strict=False):
        serial, title = len(shop.items) + number, str(record["title"])
        for kind, wanted in (("insert", title), ("replace", f"{title} again"), ("delete", "")):
            written = [] if kind == "delete" else [record | {"item_id": f"new {number}", "title": wanted}]
            began = time.perf_counter()
            items = Items(pa.Table.from_pylist(written, shop.items.table.schema))
            gone = [serial] if kind == "delete" else []
            priors = priors.with_items(np.full(len(written), serial), items, gone)
            assert (serial in priors.candidates(wanted or title, NONE).item_C) == bool(written), "it shows"
            taken[kind].append(time.perf_counter() - began)
    return {"change_ms": {kind: _median_ms(seconds) for kind, seconds in taken.items()}}


def _events(priors: Priors, shop: Shop, events: int, seed: int) -> Figures:
    taken: dict[str, list[float]] = {"event": [], "erasure": []}
    draw = np.random.default_rng([seed, 2])
    same_clicks = FEATURES.index("same_clicks")

    def shows(query: str, item: int) -> bool:
        found = priors.candidates(query, NONE)
        return bool(found.value_CF[found.item_C == item, same_clicks].any())

    for number in range(events):
        item, query = int(draw.integers(len(shop.items))), f"what nobody has asked {number}"
        moments = [time.perf_counter()]
        priors.live.add("somebody", item, query)
        assert shows(query, item)
        moments.append(time.perf_counter())
        priors.live.erase("somebody")
        assert not shows(query, item)
        moments.append(time.perf_counter())
        for kind, seconds in zip(taken, np.diff(moments).tolist(), strict=True):
            taken[kind].append(seconds)
    return {"event_ms": {kind: _median_ms(seconds) for kind, seconds in taken.items()}}


def _percentiles(seconds: NDArray[np.float64]) -> Figures:
    p50, p99 = np.percentile(seconds * 1000, (50, 99)).tolist()
    return {"p50": round(p50, 3), "p99": round(p99, 3)}


def _median_ms(seconds: Sequence[float]) -> float:
    return round(float(np.median(seconds)) * 1000, 2)


def _memory() -> int:
    return int(psutil.Process().memory_info().rss)


def _bytes_learned(shop: Shop) -> int:
    matrices = [getattr(shop.learned, name) for name in MATRICES]
    arrays: list[NDArray[Any]] = [getattr(shop.learned, name) for name in ARRAYS]
    arrays += [part for matrix in matrices for part in (matrix.data, matrix.indices, matrix.indptr)]
    return sum(array.nbytes for array in arrays)


if __name__ == "__main__":
    main()
