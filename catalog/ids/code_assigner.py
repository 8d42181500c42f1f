"""Assigns codes to new items while a model serves: the path that their text would have got in training, if it is free.

As in training, a code is the centroid nearest to the residual of the levels before, and at the last level the nearest
code that no sibling has. If the node at the end of this path is full, a beam search over all nodes with free paths
finds the free path with the least total squared distance.

Shapes: K new items, L levels, P = L - 1 levels of a prefix, D embedding dimensions, C codes of a level, W paths of the
beam.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from catalog.errors import CatalogError
from catalog.ids.agreed_paths import Path, free_of
from catalog.ids.codes import Codebooks, squared_distances
from catalog.ids.index import ItemIndex

__all__ = ["CodeAssigner"]

BEAM_WIDTH = 16
"""Paths that the beam search keeps. More find nearer paths, and only items of full nodes pay for them."""


class Embedder(Protocol):
    """Embeds texts, as `catalog.ids.embeddings.JoinedEmbedder` does."""

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """The vectors of texts, float32 [K, D]."""
        ...


class CodeAssigner:
    """Assigns codes by the embedder and the codebooks of the training run. Threads may share it."""

    def __init__(self, embedder: Embedder, codebooks: Codebooks) -> None:
        self._embedder = embedder
        self._codebooks = codebooks

    def assign(self, texts: Sequence[str], index: ItemIndex, taken: Collection[Path] = ()) -> NDArray[np.int64]:
        """Codes for items with these texts, int64 [K, L], all different and none of them in the index.

        taken: paths of others that the index does not have yet.
        Raises CatalogError if fewer paths are free.
        """
        sizes = self._codebooks.sizes
        if sizes != index.sizes:
            raise CatalogError(f"codebooks of sizes {sizes} cannot code for an index of sizes {index.sizes}")
        paths, others = _Paths(index), free_of(index, taken)
        for path in others:
            paths.take(path)
        items = index.leaves + len(others)
        room = paths.capacity(0) - items
        if len(texts) > room:
            raise CatalogError(
                f"{len(texts)} new {'item does' if len(texts) == 1 else 'items do'} not fit: {room} of the "
                f"{room + items} paths of the code sizes {list(sizes)} are free, and deleted items keep theirs. "
                "Change items that there are, or train a new model with larger `identifiers.code_sizes`"
            )
        vectors_KD = self._embedder.embed(texts).astype(np.float32)
        prefixes, distance_KC = self._nearest(vectors_KD)
        codes_KL = np.empty((len(texts), len(sizes)), np.int64)
        for item, prefix in enumerate(prefixes):
            taken_C = paths.below(prefix) > 0
            if taken_C.all():
                path = self._nearest_free(vectors_KD[item], paths)
            else:
                path = (*prefix, int(np.where(taken_C, np.inf, distance_KC[item]).argmin()))
            paths.take(path)
            codes_KL[item] = path
        return codes_KL

    def _nearest(self, vectors_KD: NDArray[np.float32]) -> tuple[list[Path], NDArray[np.float32]]:
        """The nearest codes of all levels but the last, and the distances to the last level's centroids, [K, C]."""
        residual_KD, codes_KP = vectors_KD, np.empty((len(vectors_KD), len(self._codebooks.sizes) - 1), np.int64)
        for level, centroids_CD in enumerate(self._codebooks.centroids[:-1]):
            codes_KP[:, level] = squared_distances(residual_KD, centroids_CD).argmin(1)
            residual_KD = residual_KD - centroids_CD[codes_KP[:, level]]
        distance_KC = squared_distances(residual_KD, self._codebooks.centroids[-1])
        return [tuple(prefix) for prefix in codes_KP.tolist()], distance_KC

    def _nearest_free(self, vector_D: NDArray[np.float32], paths: "_Paths") -> Path:
        """The nearest free path that the beam search finds. It keeps only nodes with free paths, so there is one."""
        beam: list[Path] = [()]
        residual_WD = vector_D[None]
        for centroids_CD in self._codebooks.centroids:
            distance_WC = squared_distances(residual_WD, centroids_CD) + (residual_WD**2).sum(1, keepdims=True)
            full_WC = np.stack([paths.below(path) == paths.capacity(len(path) + 1) for path in beam])
            distance_WC[full_WC] = np.inf
            order = np.argsort(distance_WC, axis=None, kind="stable")
            parent_W, code_W = np.divmod(order[: min(BEAM_WIDTH, int((~full_WC).sum()))], len(centroids_CD))
            beam = [(*beam[p], c) for p, c in zip(parent_W.tolist(), code_W.tolist(), strict=True)]
            residual_WD = residual_WD[parent_W] - centroids_CD[code_W]
        return beam[0]


class _Paths:
    """The paths that are taken: those of an index, and those taken since."""

    def __init__(self, index: ItemIndex) -> None:
        self._index = index
        self._taken: defaultdict[Path, Counter[int]] = defaultdict(Counter)
        """By prefix, the number of paths taken below each code."""

    def capacity(self, level: int) -> int:
        """Number of paths through a node of this level."""
        return int(np.prod(self._index.sizes[level:], dtype=object))

    def below(self, prefix: Path) -> NDArray[np.int64]:
        """Number of items below each code that may follow a prefix, int64 [C]."""
        level = len(prefix)
        items_C = np.zeros(self._index.sizes[level], np.int64)
        node = self._index.node(prefix)
        if node is not None:
            low, high = self._index.first_child[level][node : node + 2]
            start = self._index.leaf_start(level + 1)
            items_C[self._index.code[level][low:high]] = np.diff(start[low : high + 1])
        for code, items in self._taken.get(prefix, {}).items():
            items_C[code] += items
        return items_C

    def take(self, path: Path) -> None:
        """Mark a path as taken."""
        for level, code in enumerate(path):
            self._taken[path[:level]][code] += 1
