"""EASE: a linear autoencoder of histories in closed form (Steck, "Embarrassingly Shallow Autoencoders", WWW 2019).

The weights are B = I − P·diag(P)⁻¹ with P = (XᵀX + λI)⁻¹, where X says who took what, so a history x has the scores
x·B. P is an inverse of items × items; where users are fewer, it is made from one of users × users. A model has at most
MAX_ITEMS items, those that most people took, and all others score zero.

U users, N items, H items of the model, M users or items, whichever are fewer, Q questions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp
from scipy.linalg import lapack

from catalog.priors.events import TrainingEvents, recent_items, takers

__all__ = ["MAX_ITEMS", "Ease", "EaseSettings", "fit", "score"]

MAX_ITEMS = 12_500
"""Items of the largest model, whose weights take 625 MB."""
MAX_DOUBLE_SIDE = 4_096
"""Rows of the largest matrix that is inverted in float64; larger ones are float32."""
BLOCK = 1_024


@dataclass(frozen=True, slots=True, kw_only=True)
class EaseSettings:
    """The penalty λ on the squared weights, and how a history asks.

    last, decay: how many items of a history ask, and the weight of each against the one after it.
    """

    penalty: float = 150.0
    last: int = 20
    decay: float = 0.9


@dataclass(frozen=True, slots=True)
class Ease:
    """A fitted model.

    item_H: the items that it has, int64, ascending.
    weight_HH: B, float32; row i says what having item i means for all others.
    items: how many the catalog has.
    """

    item_H: np.ndarray
    weight_HH: np.ndarray
    items: int


def fit(events: TrainingEvents, settings: EaseSettings) -> Ease:
    """The model of these events; without any it has no items."""
    if len(events.item_E) == 0:
        return Ease(np.empty(0, np.int64), np.empty((0, 0), np.float32), events.items)
    taken_UN = events.taken()
    takers_N = takers(taken_UN)
    item_H = np.sort(np.argsort(-takers_N, kind="stable")[:MAX_ITEMS])
    taken_UH = taken_UN[:, item_H]
    precision_HH = (_by_users if events.users < len(item_H) else _by_items)(taken_UH, settings.penalty)
    weight_HH = precision_HH / -np.diag(precision_HH)
    np.fill_diagonal(weight_HH, 0)
    return Ease(item_H, weight_HH.astype(np.float32, copy=False), events.items)


def score(model: Ease, histories: Sequence[np.ndarray], settings: EaseSettings) -> np.ndarray:
    """The score of every item for every history: float32 [Q, N], dense. An item of the history is scored by the others.

    histories: the item numbers of each history, int64, oldest first.
    """
    asked_QN = recent_items(histories, model.items, last=settings.last, decay=settings.decay)
    score_QH = np.asarray(asked_QN[:, model.item_H].astype(np.float32) @ model.weight_HH)
    if len(model.item_H) == model.items:
        return score_QH
    score_QN = np.zeros((len(histories), model.items), np.float32)
    score_QN[:, model.item_H] = score_QH
    return score_QN


def _by_items(taken_UH: sp.csr_matrix, penalty: float) -> np.ndarray:
    """(XᵀX + λI)⁻¹, float [H, H]."""
    return _inverse((taken_UH.T @ taken_UH).toarray(), penalty)


def _by_users(taken_UH: sp.csr_matrix, penalty: float) -> np.ndarray:
    """(I − Xᵀ(XXᵀ + λI)⁻¹X)/λ, which is the same, float [H, H]."""
    inverse_UU = _inverse((taken_UH @ taken_UH.T).toarray(), penalty)
    taken_HU = taken_UH.T.tocsr().astype(inverse_UU.dtype)
    precision_HH = np.asarray(taken_HU @ (taken_HU @ inverse_UU).T)
    precision_HH /= -penalty
    np.fill_diagonal(precision_HH, np.diag(precision_HH) + 1 / penalty)
    return precision_HH


def _inverse(gram_MM: np.ndarray, penalty: float) -> np.ndarray:
    """The inverse of the matrix with the penalty added to its diagonal: float64, or float32 if it is large."""
    matrix_MM: np.ndarray = gram_MM.astype(np.float64 if len(gram_MM) <= MAX_DOUBLE_SIDE else np.float32)
    np.fill_diagonal(matrix_MM, np.diag(matrix_MM) + penalty)
    routines: Any = lapack.get_lapack_funcs(("potrf", "potri"), (matrix_MM,))
    factor, invert = routines
    triangle_MM, failed = factor(matrix_MM.T, lower=True, overwrite_a=True)
    if not failed:
        triangle_MM, failed = invert(triangle_MM, lower=True, overwrite_c=True)
    if failed:
        raise np.linalg.LinAlgError(f"the matrix of EASE is not positive definite (potrf, potri: {failed})")
    for start in range(0, len(triangle_MM), BLOCK):  # mirror the lower triangle in place
        stop = start + BLOCK
        corner = np.tril(triangle_MM[start:stop, start:stop])
        triangle_MM[start:stop, start:stop] = corner + np.tril(corner, -1).T
        triangle_MM[start:stop, stop:] = triangle_MM[stop:, start:stop].T
    return np.asarray(triangle_MM)
