"""Codes of items: every item is identified by a short path of codes, one added token for each level.

`semantic` identifiers come from residual quantisation of the item's embedding: at every level, k-means of the residuals
of the level before (Rajput et al. 2023, arXiv 2305.05065, section 3.1, with k-means in place of the autoencoder). The
last level is assigned so that no two items share a path. `atomic` identifiers are one level with a code for every item.

Shapes: N items, L levels, P levels of a prefix, D embedding dimensions, C codes of a level, G items of one group.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from catalog.errors import CatalogError
from catalog.ids import many_items
from catalog.ids.assignment import least_total, nearly_least_total
from catalog.ids.many_items import fitted, pieces

LEVEL_NAMES = "abcdefgh"
MINI_BATCH_FROM = 50_000
"""Number of items from which on k-means runs on mini-batches: full passes take minutes and give no better codes."""


@dataclass(frozen=True, slots=True)
class Codebooks:
    """The centroids of every level, float32 [C, D]."""

    centroids: tuple[np.ndarray, ...]

    @property
    def sizes(self) -> tuple[int, ...]:
        """Number of codes of every level."""
        return tuple(len(centroids) for centroids in self.centroids)

    def save(self, path: Path) -> None:
        """Write an `.npz` file."""
        np.savez(path, allow_pickle=False, **{f"level_{i}": c for i, c in enumerate(self.centroids)})

    @classmethod
    def open(cls, path: Path) -> Codebooks:
        """Read what `save` has written."""
        with np.load(path, allow_pickle=False) as arrays:
            return cls(tuple(arrays[f"level_{i}"] for i in range(len(arrays.files))))


def token_name(level: int, code: int) -> str:
    """The added token of a code at a level, such as `<a_17>`."""
    return f"<{LEVEL_NAMES[level]}_{code}>"


def atomic_codes(items: int) -> np.ndarray:
    """A code of its own for every item, int64 [N, 1]."""
    return np.arange(items, dtype=np.int64)[:, None]


def semantic_codes(
    vectors_ND: np.ndarray, sizes: Sequence[int], *, seed: int = 0, first_CD: np.ndarray | None = None
) -> tuple[Codebooks, np.ndarray]:
    """Fit codebooks to vectors float32 [N, D]; returns them and the items' codes int64 [N, L], all different.

    vectors_ND: may be mapped; of more than MAX_FITTED a sample is fitted to, and the codes are assigned in pieces.
    sizes: number of codes of every level.
    first_CD: the first level's centroids, if `fit_level` has found them in the vectors' first dimensions. Then further
        levels are of the other dimensions alone, the details.
    Raises CatalogError if there are fewer paths than items.
    """
    items = len(vectors_ND)
    if not 2 <= len(sizes) <= len(LEVEL_NAMES):
        raise CatalogError(
            f"semantic identifiers need 2 to {len(LEVEL_NAMES)} levels, not {len(sizes)}: change `code_sizes`"
        )
    if items > np.prod(np.asarray(sizes, dtype=np.float64)):
        raise CatalogError(
            f"{items} items do not fit the code sizes {list(sizes)}: enlarge `code_sizes` or add a level"
        )
    if items <= many_items.MAX_FITTED:
        books = _fit(vectors_ND.astype(np.float32), sizes, seed, first_CD)
        return books, unique_codes(vectors_ND.astype(np.float32), books)
    books = _fit(np.asarray(vectors_ND[fitted(items, seed)], np.float32), sizes, seed, first_CD)
    return books, codes_in_pieces(vectors_ND, books)


def fit_level(vectors_ND: np.ndarray, size: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """The centroids of a level's codes, float32 [size, D], and the code of every vector, int64 [N]."""
    from sklearn.cluster import KMeans, MiniBatchKMeans  # here, because it takes seconds and a server only reads codes
    from sklearn.exceptions import ConvergenceWarning

    clusters = min(size, len(vectors_ND))
    batched = len(vectors_ND) >= MINI_BATCH_FROM
    kmeans = (MiniBatchKMeans if batched else KMeans)(clusters, n_init=1, max_iter=50, random_state=seed)
    with warnings.catch_warnings():  # where residuals are fewer than codes, some centroids repeat
        warnings.simplefilter("ignore", ConvergenceWarning)
        label_N = kmeans.fit_predict(vectors_ND)
    return kmeans.cluster_centers_.astype(np.float32)[np.arange(size) % clusters], label_N.astype(np.int64)


def _fit(vectors_ND: np.ndarray, sizes: Sequence[int], seed: int, first_CD: np.ndarray | None) -> Codebooks:
    """Codebooks of residuals, from the first level's centroids on, if they are given.

    Centroids are 0 in the dimensions that their level leaves out. In these an item is equally far from all of them, and
    its residual is what it was.
    """
    residual_ND, centroids = vectors_ND.copy(), []
    left_out = 0 if first_CD is None else first_CD.shape[1]
    if first_CD is not None:
        centroids.append(np.pad(first_CD, ((0, 0), (0, vectors_ND.shape[1] - left_out))))
    for level, size in list(enumerate(sizes))[len(centroids) :]:
        found_CD, label_N = fit_level(residual_ND[:, left_out:], size, seed + level)
        centroids.append(np.pad(found_CD, ((0, 0), (left_out, 0))))
        residual_ND = residual_ND - centroids[-1][label_N]
    return Codebooks(tuple(centroids))


def squared_distances(vectors_ND: np.ndarray, centroids_CD: np.ndarray) -> np.ndarray:
    """Squared distances [N, C], less each vector's own squared norm, which no comparison along C needs."""
    distances: np.ndarray = (centroids_CD**2).sum(1) - 2 * vectors_ND @ centroids_CD.T
    return distances


def unique_codes(
    vectors_ND: np.ndarray, books: Codebooks, assign: Callable[[np.ndarray], np.ndarray] = least_total
) -> np.ndarray:
    """Greedy residual codes, int64 [N, L], with no more items below a code than there are paths below it.

    assign: of the squared distances [G, C] of items that share all codes but the last, a last code for each.
    """
    residual_ND, codes_NL = vectors_ND.copy(), np.zeros((len(vectors_ND), len(books.sizes)), dtype=np.int64)
    for level, centroids_CD in enumerate(books.centroids[:-1]):
        distance_NC = squared_distances(residual_ND, centroids_CD)
        codes_NL[:, level] = distance_NC.argmin(1)
        room = int(np.prod(books.sizes[level + 1 :]))
        for members in _groups(codes_NL[:, : level + 1], larger_than=room):
            siblings = (codes_NL[:, :level] == codes_NL[members[0], :level]).all(1)
            _move_surplus(codes_NL[:, level], members, siblings, distance_NC[members], room)
        residual_ND -= centroids_CD[codes_NL[:, level]]
    codes_NL[:, -1] = squared_distances(residual_ND, books.centroids[-1]).argmin(1)
    for members in _groups(codes_NL[:, :-1], larger_than=1):
        if len(np.unique(codes_NL[members, -1])) < len(members):
            codes_NL[members, -1] = assign(squared_distances(residual_ND[members], books.centroids[-1]))
    return codes_NL


def codes_in_pieces(vectors_ND: np.ndarray, books: Codebooks) -> np.ndarray:
    """The codes of `unique_codes`, with the distances of a piece of the items, or of one first code, at a time.

    Of many items that share all codes but the last, the total of their distances may not quite be the least.
    """
    codes_NL, first_CD = np.zeros((len(vectors_ND), len(books.sizes)), np.int64), books.centroids[0]
    for piece in pieces(len(vectors_ND)):
        codes_NL[piece, 0] = squared_distances(np.asarray(vectors_ND[piece], np.float32), first_CD).argmin(1)
    room, every_N = int(np.prod(books.sizes[1:])), np.ones(len(vectors_ND), bool)
    for members in _groups(codes_NL[:, :1], larger_than=room):
        distance_GC = squared_distances(np.asarray(vectors_ND[members], np.float32), first_CD)
        _move_surplus(codes_NL[:, 0], members, every_N, distance_GC, room)
    further = Codebooks(books.centroids[1:])
    for members in _groups(codes_NL[:, :1], larger_than=0):
        residual_GD = np.asarray(vectors_ND[members], np.float32) - first_CD[codes_NL[members[0], 0]]
        codes_NL[members, 1:] = unique_codes(residual_GD, further, nearly_least_total)
    return codes_NL


def _groups(prefix_NP: np.ndarray, *, larger_than: int) -> Iterator[np.ndarray]:
    """The item numbers of every group of equal prefixes that has more than `larger_than` members."""
    order = np.lexsort(prefix_NP.T[::-1]) if prefix_NP.shape[1] else np.arange(len(prefix_NP))
    ordered = prefix_NP[order]
    starts = np.flatnonzero(np.r_[True, (ordered[1:] != ordered[:-1]).any(1)])
    for start, end in zip(starts, np.r_[starts[1:], len(order)], strict=True):
        if end - start > larger_than:
            yield order[start:end]


def _move_surplus(
    code_N: np.ndarray, members: np.ndarray, siblings_N: np.ndarray, distance_GC: np.ndarray, room: int
) -> None:
    """Give the members that are farthest from their code's centroid the nearest code with room.

    room: number of paths below a code. The parent has room for all.
    """
    held_C = np.bincount(code_N[siblings_N], minlength=distance_GC.shape[1])
    by_fit = np.argsort(distance_GC[:, code_N[members[0]]], kind="stable")
    for place in by_fit[room:]:
        chosen = np.where(held_C < room, distance_GC[place], np.inf).argmin()
        held_C[code_N[members[place]]] -= 1
        held_C[chosen] += 1
        code_N[members[place]] = chosen
