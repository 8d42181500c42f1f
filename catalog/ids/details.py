"""What tells the items of one first code apart: words of their texts, above all those that people search for.

Items that are taken together and named alike share their first code. Of what is left between them, their vectors know
little: it is mostly chance which of forty rain jackets were taken together, and how a description is worded. Words that
people type are what they choose by, such as brands, sizes and materials. So the codes after the first may be of these
words alone, and then say the same thing below every first code.

Shapes: N items, F hashed features, E dimensions of the details, G first codes.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import scipy.sparse as sp
from sklearn.preprocessing import normalize

from catalog.ids.embeddings import HashingEmbedder, hashed_features
from catalog.ids.many_items import fitted

__all__ = ["fit_details"]

ITERATIONS, OVERSAMPLING = 6, 10
UNASKED = 0.1
"""Weight of a feature that no query has, where one that a single query has weighs 0.8: it is for ties."""


def fit_details(
    texts: Sequence[str],
    first_code_N: np.ndarray,
    queries: Sequence[str],
    dimensions: int,
    *,
    features: int = 2**14,
    seed: int = 0,
) -> HashingEmbedder:
    """An embedder of details, of `dimensions` at most.

    A feature weighs as much as it is rare among the texts and common among the queries. What is embedded are the
    directions in which the texts of one first code differ the most.

    texts: of the items from which it is learned.
    first_code_N: the first code of each of them.
    queries: distinct queries, each of which counts once; of more than MAX_FITTED a sample is counted.
    """
    present_NF = _present(texts, features)
    idf_F = np.log((1 + len(texts)) / (1 + np.asarray(present_NF.sum(0)).ravel())) + 1
    asked_QF = _present([queries[row] for row in fitted(len(queries), seed).tolist()], features)
    weight_F = idf_F * (UNASKED + np.log1p(np.asarray(asked_QF.sum(0)).ravel()))
    weighed_NF = normalize(sp.csr_matrix(present_NF.multiply(weight_F)))
    components_DF = _directions_within(weighed_NF, first_code_N, min(dimensions, max(1, len(texts) - 1)), seed)
    return HashingEmbedder(weight_F.astype(np.float32), components_DF.astype(np.float32))


def _directions_within(weighed_NF: sp.csr_matrix, first_code_N: np.ndarray, rank: int, seed: int) -> np.ndarray:
    """The strongest directions of what is left when the mean of its first code is taken from every row, [rank, F].

    They are found by subspace iteration (Halko et al. 2011), in which the means are taken off products: what is left
    has few zeros, and would not fit into memory.
    """
    items, features = weighed_NF.shape
    member_GN = sp.csr_matrix((np.ones(items), (first_code_N, np.arange(items))))
    mean_GF = normalize(member_GN, norm="l1") @ weighed_NF
    found_FD = np.random.default_rng(seed).normal(size=(features, min(rank + OVERSAMPLING, items, features)))
    for _ in range(ITERATIONS):
        left_ND, _ = np.linalg.qr(weighed_NF @ found_FD - member_GN.T @ (mean_GF @ found_FD))
        found_FD, _, _ = np.linalg.svd(weighed_NF.T @ left_ND - mean_GF.T @ (member_GN @ left_ND), full_matrices=False)
    return np.asarray(found_FD[:, :rank].T)


def _present(texts: Sequence[str], features: int) -> sp.csr_matrix:
    """Which texts have which features: float64 [len(texts), F] of 0 and 1."""
    if not texts:
        return sp.csr_matrix((0, features))
    present_NF = sp.csr_matrix(hashed_features(texts, features), dtype=np.float64)
    present_NF.data[:] = 1
    return present_NF
