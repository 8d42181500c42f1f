"""A pilot shop: titles and no more, few events, and the settings by which `demo` trains on them in seconds."""

import json
from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["STEPS", "titles", "views", "write"]

KINDS = ["Tent", "Kayak", "Stove", "Lamp", "Rope", "Boots", "Jacket", "Pack", "Bottle", "Map"]
COLOURS = ["red", "green", "blue", "black", "white", "grey"]
STEPS = ("training.steps=2", "training.search_sequences=4", "training.recommendation_sequences=4", "backbone.layers=1")
START = 1_700_000_000_000


def titles(count: int) -> list[dict[str, Any]]:
    """As a shop begins: ids and titles."""
    names = [f"{colour} {kind}" for kind in KINDS for colour in COLOURS]
    return [{"item_id": f"S{number:03}", "title": names[number]} for number in range(count)]


def views(items: list[dict[str, Any]], users: int, each: int, *, searches: bool) -> list[dict[str, Any]]:
    generator = np.random.default_rng(0)
    rows = []
    for user in range(users):
        for turn in range(each):
            item = items[generator.integers(len(items))]
            row = {"user_id": user, "item_id": item["item_id"], "type": "view", "timestamp": START + 60_000 * turn}
            rows.append(row | {"query": item["title"].split()[1] if searches and turn % 2 else None})
    return rows


def write(folder: Path, items: list[dict[str, Any]], events: list[dict[str, Any]]) -> tuple[Path, Path]:
    for name, rows in (("items", items), ("events", events)):
        (folder / f"{name}.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return folder / "items.jsonl", folder / "events.jsonl"
