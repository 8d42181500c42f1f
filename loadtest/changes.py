"""What it costs to change a catalog while it serves: a new state with some items more, or some less.

Shapes: N items, K changed ones, L levels, C codes, D embedding dimensions.
"""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from catalog.data.items import Items
from catalog.ids.codes import Codebooks
from catalog.ids.coding import ItemCoder
from catalog.ids.index import ItemIndex
from catalog.snapshot import Snapshot
from loadtest.timing import Spread, take_turns

__all__ = ["change_figures", "published", "random_coder"]

CHANGED = 1000
"""Items of one change."""
DIMENSIONS = 64


class RandomEmbedder:
    """Made-up vectors of texts; a real embedder's own time is not the catalog's."""

    def __init__(self, generator: np.random.Generator) -> None:
        self._generator = generator

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """float32 [K, D]."""
        return self._generator.standard_normal((len(texts), DIMENSIONS), np.float32)


def change_figures(index: ItemIndex, turns: int, seed: int) -> dict[str, Any]:
    """Seconds to write `changed_items` new items, their coding included, and to delete as many, each in one change."""
    generator = np.random.default_rng(seed)
    snapshot, coder = published(index), random_coder(index, generator)
    changed = min(CHANGED, len(index))
    records = [{"item_id": f"new{number}", "title": f"new item {number}"} for number in range(changed)]
    ids = [f"item{row}" for row in generator.choice(len(index), changed, replace=False)]
    taken = take_turns(
        {"insert_s": lambda turn: snapshot.upsert(records, coder), "delete_s": lambda turn: snapshot.delete(ids)}, turns
    )
    return {
        "changed_items": changed,
        **{key: spread.median / 1000 for key, spread in taken.items()},
        "spread": {key: asdict(_in_seconds(spread)) for key, spread in taken.items()},
    }


def random_coder(index: ItemIndex, generator: np.random.Generator) -> ItemCoder:
    """Codes new items by made-up vectors and codebooks."""
    centroids = generator.standard_normal((index.depth, max(index.sizes), DIMENSIONS), np.float32)
    codebooks = Codebooks(tuple(level[:size] for level, size in zip(centroids, index.sizes, strict=True)))
    return ItemCoder(RandomEmbedder(generator), codebooks)


def published(index: ItemIndex) -> Snapshot:
    """A catalog of made-up records for the leaves of an index."""
    rows = np.arange(len(index))
    ids = [f"item{row}" for row in rows.tolist()]
    table = pa.table({"item_id": ids, "title": [f"The item of row {row}" for row in rows.tolist()]})
    return Snapshot.published(Items(table), index.paths(rows), index)


def _in_seconds(spread: Spread) -> Spread:
    return Spread(spread.median / 1000, spread.p10 / 1000, spread.p90 / 1000)
