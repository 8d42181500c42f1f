"""Measures changes of a catalog: the time to make a new snapshot with some items inserted or deleted."""

from dataclasses import asdict
from typing import Any

import numpy as np

from catalog.ids.index import ItemIndex
from loadtest.measure.timing import Spread, take_turns
from loadtest.synthetic.catalog import random_code_assigner, random_snapshot

__all__ = ["CHANGED", "change_figures"]

CHANGED = 1000
"""Number of items of one change."""


def change_figures(index: ItemIndex, turns: int, seed: int) -> dict[str, Any]:
    """Seconds to insert `changed_items` new items, with their coding, and to delete as many, each in one change."""
    generator = np.random.default_rng(seed)
    snapshot, code_assigner = random_snapshot(index), random_code_assigner(index, generator)
    changed = min(CHANGED, len(index))
    records = [{"item_id": f"new{number}", "title": f"new item {number}"} for number in range(changed)]
    ids = [f"item{row}" for row in generator.choice(len(index), changed, replace=False)]
    taken = take_turns(
        {
            "insert_s": lambda turn: snapshot.upsert(records, code_assigner),
            "delete_s": lambda turn: snapshot.delete(ids),
        },
        turns,
    )
    return {
        "changed_items": changed,
        **{key: spread.median / 1000 for key, spread in taken.items()},
        "spread": {key: asdict(_in_seconds(spread)) for key, spread in taken.items()},
    }


def _in_seconds(spread: Spread) -> Spread:
    return Spread(spread.median / 1000, spread.p10 / 1000, spread.p90 / 1000)
