"""A tiny shop for tests: items of a few kinds, people who keep to one kind, some of them searching."""

from pathlib import Path

import numpy as np
import pyarrow as pa

from catalog.data.events import write_events
from catalog.data.items import Items, write_items

KINDS = ("tent", "rope", "lamp", "boot", "pack")
COLOURS = ("red", "blue", "green", "grey", "black", "white")
TINY = (  # a recipe of seconds
    "backbone.hidden=64",
    "backbone.layers=2",
    "backbone.heads=2",
    "backbone.vocabulary=400",
    "backbone.pretrain_steps=2",
    "identifiers.code_sizes=[8,8]",
    "null_space.texts=16",
    "null_space.text_tokens=16",
    "training.steps=6",
    "training.search_sequences=4",
    "training.recommendation_sequences=4",
    "training.checkpoint_every=2",
    "gems.refresh_every=3",
    "gems.rank=0.5",
    "evaluation.width=20",
    "evaluation.bootstrap=20",
)


LEARNING = ("training.steps=60", "training.dropout=0", "gems.lr=0.01")
"""What to add to TINY for a model that has learned the shop, in two seconds."""


def item_table() -> pa.Table:
    names = [(kind, colour) for kind in KINDS for colour in COLOURS]
    return pa.table(
        {
            "item_id": [f"{kind}-{colour}" for kind, colour in names],
            "title": [f"{colour} {kind}" for kind, colour in names],
            "description": [
                f"A {colour} {kind}, made to last for many years of walking in rain and sun. " * 3
                for kind, colour in names
            ],
            "categories": [["outdoor", kind] for kind, _ in names],
            "brand": ["Alpina" if i % 2 else None for i in range(len(names))],
            "price": [float(10 + i) for i in range(len(names))],
            "available": [True] * len(names),
        }
    )


def event_table(users: int = 40, *, seed: int = 0) -> pa.Table:
    generator = np.random.default_rng(seed)
    rows = []
    for user in range(users):
        kind = KINDS[user % len(KINDS)]
        for step, colour in enumerate(generator.permutation(COLOURS)):
            searched = generator.random() < 0.5
            rows.append(
                (
                    f"u{user}",
                    f"{kind}-{colour}",
                    1_700_000_000_000 + 1000 * step,
                    f"{kind} {colour}" if searched else None,
                )
            )
    users_, items, times, queries = zip(*rows, strict=True)
    return pa.table(
        {
            "user_id": users_,
            "item_id": items,
            "timestamp": pa.array(times, pa.int64()),
            "type": ["view"] * len(rows),
            "query": pa.array(queries, pa.string()),
            "event_id": [f"e{i}" for i in range(len(rows))],
        }
    )


def items() -> Items:
    return Items(item_table())


def files_in(folder: Path) -> tuple[Path, Path]:
    """Where `write_world` writes."""
    return folder / "items.parquet", folder / "events.parquet"


def write_world(folder: Path) -> tuple[Path, Path]:
    """Writes items.parquet and events.parquet."""
    folder.mkdir(parents=True, exist_ok=True)
    items, events = files_in(folder)
    write_items(item_table(), items)
    write_events(event_table(), events)
    return items, events
