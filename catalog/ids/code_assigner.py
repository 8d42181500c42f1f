"""Gives new items identifiers while a model serves: the path that their text would have got in training, if it is free.

An item is coded as in training: level by level, the centroid nearest to what the levels before left over; at the last
level the nearest code that no sibling has. Where the node that this leads to is full, a beam over all nodes with room
looks for the free path that is nearest by the total squared distance.

Shapes: K new items, L levels, D embedding dimensions, C codes of a level, W paths that are followed at once.
"""

from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from catalog.errors import CatalogError
from catalog.ids.codes import Codebooks, squared_distances
from catalog.ids.index import ItemIndex

__all__ = ["CodeAssigner"]

ALTERNATIVES = 16  # paths that the beam follows; more find nearer ones, at a cost that only full nodes have

Path = tuple[int, ...]


class Embedder(Protocol):
    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """float32 [K, D]."""
        ...


class CodeAssigner:
    """Codes new items with the embedder and the codebooks of the training run. Safe to use from several threads."""

    def __init__(self, embedder: Embedder, codebooks: Codebooks) -> None:
        self._embedder = embedder
        self._codebooks = codebooks

    def assign(self, texts: Sequence[str], index: ItemIndex) -> NDArray[np.int64]:
        """Codes of items with these texts, int64 [K, L], all different and none of them in `index`.

        Raises CatalogError where the index has no room for so many.
        """
        sizes = self._codebooks.sizes
        if sizes != index.sizes:
            raise CatalogError(f"codebooks of sizes {sizes} cannot code for an index of sizes {index.sizes}")
        paths = _Paths(index)
        room = paths.capacity(0) - index.leaves
        if len(texts) > room:
            raise CatalogError(
                f"{len(texts)} new items do not fit: {room} of the {room + index.leaves} paths of the code sizes "
                f"{list(sizes)} are free. Train again with larger `identifiers.code_sizes`"
            )
        vectors_KD = self._embedder.embed(texts).astype(np.float32)
        prefixes, distance_KC = self._nearest(vectors_KD)
        codes_KL = np.empty((len(texts), len(sizes)), np.int64)
        for item, prefix in enumerate(prefixes):
            taken_C = paths.below(prefix) > 0
            if taken_C.all():
                path = self._detour(vectors_KD[item], paths)
            else:
                path = (*prefix, int(np.where(taken_C, np.inf, distance_KC[item]).argmin()))
            paths.take(path)
            codes_KL[item] = path
        return codes_KL

    def _nearest(self, vectors_KD: NDArray[np.float32]) -> tuple[list[Path], NDArray[np.float32]]:
        """The nearest codes of all levels but the last, full or not, and the distances to the last level's, [K, C]."""
        residual_KD, codes_KP = vectors_KD, np.empty((len(vectors_KD), len(self._codebooks.sizes) - 1), np.int64)
        for level, centroids_CD in enumerate(self._codebooks.centroids[:-1]):
            codes_KP[:, level] = squared_distances(residual_KD, centroids_CD).argmin(1)
            residual_KD = residual_KD - centroids_CD[codes_KP[:, level]]
        distance_KC = squared_distances(residual_KD, self._codebooks.centroids[-1])
        return [tuple(prefix) for prefix in codes_KP.tolist()], distance_KC

    def _detour(self, vector_D: NDArray[np.float32], paths: "_Paths") -> Path:
        """The nearest free path of those that the beam follows; only nodes with room are, so it always finds one."""
        followed: list[Path] = [()]
        residual_WD = vector_D[None]
        for centroids_CD in self._codebooks.centroids:
            distance_WC = squared_distances(residual_WD, centroids_CD) + (residual_WD**2).sum(1, keepdims=True)
            full_WC = np.stack([paths.below(path) == paths.capacity(len(path) + 1) for path in followed])
            distance_WC[full_WC] = np.inf
            order = np.argsort(distance_WC, axis=None, kind="stable")
            parent_W, code_W = np.divmod(order[: min(ALTERNATIVES, int((~full_WC).sum()))], len(centroids_CD))
            followed = [(*followed[p], c) for p, c in zip(parent_W.tolist(), code_W.tolist(), strict=True)]
            residual_WD = residual_WD[parent_W] - centroids_CD[code_W]
        return followed[0]


class _Paths:
    """Which paths have items: those of an index, and those taken since."""

    def __init__(self, index: ItemIndex) -> None:
        self._index = index
        self._taken: defaultdict[Path, Counter[int]] = defaultdict(Counter)  # by prefix, how many behind each code

    def capacity(self, level: int) -> int:
        """How many paths go through a node of `level`."""
        return int(np.prod(self._index.sizes[level:], dtype=object))

    def below(self, prefix: Path) -> NDArray[np.int64]:
        """How many items there are behind each code that may follow `prefix`, int64 [C]."""
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
        for level, code in enumerate(path):
            self._taken[path[:level]][code] += 1
