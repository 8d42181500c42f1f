"""A catalog of made-up records for the leaves of an index, and a code_assigner that gives new items random codes.

Shapes: N items, K new items, D embedding dimensions.
"""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from catalog.data.items import Items
from catalog.ids.code_assigner import CodeAssigner
from catalog.ids.codes import Codebooks
from catalog.ids.index import ItemIndex
from catalog.snapshot import Snapshot

__all__ = ["random_code_assigner", "random_snapshot"]

DIMENSIONS = 64


class RandomEmbedder:
    """Random vectors in place of embedded texts, so that only the catalog's own time is measured."""

    def __init__(self, generator: np.random.Generator) -> None:
        self._generator = generator

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Random vectors float32 [K, D]."""
        return self._generator.standard_normal((len(texts), DIMENSIONS), np.float32)


def random_code_assigner(index: ItemIndex, generator: np.random.Generator) -> CodeAssigner:
    """A code_assigner of new items with random vectors and codebooks, whose codes are those of the index."""
    centroids = generator.standard_normal((index.depth, max(index.sizes), DIMENSIONS), np.float32)
    codebooks = Codebooks(tuple(level[:size] for level, size in zip(centroids, index.sizes, strict=True)))
    return CodeAssigner(RandomEmbedder(generator), codebooks)


def random_snapshot(index: ItemIndex) -> Snapshot:
    """A snapshot of one made-up record for every leaf of the index."""
    rows = np.arange(len(index))
    ids = [f"item{row}" for row in rows.tolist()]
    table = pa.table({"item_id": ids, "title": [f"The item of row {row}" for row in rows.tolist()]})
    return Snapshot.published(Items(table), index.paths(rows), index)
