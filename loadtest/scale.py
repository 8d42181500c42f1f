"""Measures how histories of many events are prepared on disk (`trainer/data/prepared`), beside reading them:

    python -m loadtest.scale --events 50000000 --items 1000000 --json scale.json [--memory-gb 1] [--seed 0]

A synthetic log is written in pieces: 25 events a user in no order, popular items more often, a tenth with a query, a
hundredth sent twice. Each way works in a process of its own, whose memory is looked at (`loadtest/measure/process.py`).
Up to a million events are also read into memory, and must be the same, bit for bit.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from catalog.data.events import EVENTS_SCHEMA, drop_unknown_items
from catalog.data.items import Items, read_items, write_items
from catalog.data.tombstones import read_kept_events
from loadtest.measure.errors import LoadtestError
from loadtest.measure.machine import Machine
from loadtest.measure.process import in_process
from loadtest.measure.tables import print_table
from trainer.data.histories import Histories
from trainer.data.prepared import open_histories, open_split, prepare_histories, store_draws, store_split
from trainer.data.splits import leave_one_out

__all__ = ["compared", "main", "measure", "write_log"]

MAX_COMPARED = 1_000_000
PIECE = 1_000_000
EVENTS_A_USER = 25
QUERIES = 20_000
DAYS_MS = 180 * 86_400_000
BEGIN_MS = 1_700_000_000_000
KINDS = ("view", "click", "cart", "purchase")

Figures = dict[str, Any]


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print the table and write the JSON."""
    options = _parse(arguments)
    with TemporaryDirectory(dir=options.folder) as folder:
        figures = measure(Path(folder), options.events, options.items, options.memory_gb, options.seed)
    report = {**figures, "machine": asdict(Machine.here())}
    rows = [(name, *own.values()) for name, own in figures["ways"].items()]
    print_table(f"{options.events:,} events", ("", *next(iter(figures["ways"].values()))), rows)
    options.json.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    return 0


def measure(folder: Path, events: int, items: int, memory_gb: float, seed: int) -> Figures:
    """The figures of one log, which is made in an empty folder. Raises LoadtestError where two ways differ."""
    write_log(folder, events, items, seed)
    ways = {
        "prepare": in_process(_prepare, folder, memory_gb),
        "split": in_process(_split, folder),
    }
    if events <= MAX_COMPARED:
        ways["read into memory"] = in_process(_read, folder)
        compared(folder)
    return {
        "events": events,
        "items": items,
        "duckdb_memory_gb": memory_gb,
        "parquet_mb": _megabytes(folder / "events.parquet"),
        "prepared_mb": sum(map(_megabytes, folder.glob("full/*"))),
        "split_mb": sum(map(_megabytes, folder.glob("split/**/*"))),
        "equal_to_memory": True if events <= MAX_COMPARED else None,
        "ways": ways,
    }


def write_log(folder: Path, events: int, items: int, seed: int) -> None:
    """items.parquet and events.parquet, which are never in memory as a whole."""
    write_items(pa.table({"item_id": [f"item-{number}" for number in range(items)]}), folder / "items.parquet")
    generator = np.random.default_rng(seed)
    schema = pa.schema([*EVENTS_SCHEMA.columns])
    with pq.ParquetWriter(folder / "events.parquet", schema) as writer:
        for begin in range(0, events, PIECE):
            count = min(PIECE, events - begin)
            number = np.arange(begin, begin + count)
            number -= (generator.random(count) < 0.01) & (number > begin)  # was sent twice
            draw = np.random.default_rng((seed, begin)).random((5, count))[:, number - begin]
            queries = pa.array([f"query {q}" for q in range(QUERIES)])
            query = queries.take(pa.array((draw[3] * QUERIES).astype(np.int64), mask=draw[4] > 0.1))
            user = (draw[0] * max(1, events // EVENTS_A_USER)).astype(np.int64)
            columns = {
                "user_id": _named("user-", user),
                "item_id": _named("item-", (draw[1] ** 3 * items).astype(np.int64)),
                "timestamp": pa.array(BEGIN_MS + (draw[2] * DAYS_MS).astype(np.int64)),
                "type": pa.array(KINDS).take(pa.array(number % len(KINDS))),
                "query": query,
                "event_id": _named("event-", number),
                "request_id": pa.nulls(count, pa.string()),
            }
            writer.write_table(pa.table(columns, schema))


def compared(folder: Path) -> None:
    """Raises LoadtestError unless the prepared split in a folder is that of the events read into memory."""
    full = open_histories(folder / "full")
    stored, read = open_split(full, folder / "split"), leave_one_out(_read(folder))
    for one, other in ((stored.full, read.full), (stored.train, read.train)):
        same = list(one.users) == list(other.users) and list(one.texts) == list(other.texts)
        for name in ("starts_U1", "items_E", "queries_E", "times_E"):
            same = same and np.array_equal(getattr(one, name), getattr(other, name))
        if not same:
            raise LoadtestError("prepared histories differ from those that are read into memory")
    if (list(stored.validation), list(stored.test)) != (list(read.validation), list(read.test)):
        raise LoadtestError("prepared questions differ from those of histories in memory")


def _prepare(folder: Path, memory_gb: float) -> None:
    (folder / "full").mkdir()
    items = Items(read_items(folder / "items.parquet"))
    prepare_histories([folder / "events.parquet"], [], items, folder / "full", memory=f"{memory_gb}GB")


def _split(folder: Path) -> None:
    (folder / "split").mkdir()
    full = open_histories(folder / "full")
    store_split(full, "leave_one_out", folder / "split")
    store_draws(open_histories(folder / "split" / "train", full.users), "events")


def _read(folder: Path) -> Histories:
    items = Items(read_items(folder / "items.parquet"))
    events, report = read_kept_events([folder / "events.parquet"], [])
    return Histories.from_events(drop_unknown_items(events, items.table["item_id"], report, fault=False), items)


def _named(prefix: str, numbers: np.ndarray) -> pa.Array:
    return pc.binary_join_element_wise(prefix, pa.array(numbers).cast(pa.string()), "")


def _megabytes(path: Path) -> float:
    return round(path.stat().st_size / 1e6, 1) if path.is_file() else 0.0


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m loadtest.scale", description="Measure data past memory.")
    parser.add_argument("--events", type=int, default=1_000_000, help="of the log (1,000,000)")
    parser.add_argument("--items", type=int, default=100_000, help="of the catalog (100,000)")
    parser.add_argument("--json", type=Path, required=True, help="where to write the figures")
    parser.add_argument("--memory-gb", type=float, default=1.0, help="of DuckDB (1)")
    parser.add_argument("--folder", type=Path, help="where the log is made; about 150 bytes an event must fit")
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args(arguments)


if __name__ == "__main__":
    raise SystemExit(main())
