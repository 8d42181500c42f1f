"""Which kinds follow the items of a history.

Shapes: N items, K kinds, R items of a history that are asked.
"""

from __future__ import annotations

import numpy as np

from catalog.priors.kernels.compiled import Array, compiled

__all__ = ["kind_evidence"]


@compiled
def _row(starts: Array, values: Array, row: int) -> tuple[int, int, float]:
    """Where a row begins and ends, and its sum; a row that the matrix does not have is empty."""
    if not 0 <= row < len(starts) - 1:
        return 0, 0, 0.0
    total = 0.0
    for entry in range(starts[row], starts[row + 1]):
        total += values[entry]
    return starts[row], starts[row + 1], total


@compiled
def kind_evidence(
    item_values: Array,
    item_columns: Array,
    item_starts: Array,
    kind_values: Array,
    kind_columns: Array,
    kind_starts: Array,
    kind_logs: Array,
    usual_K: Array,
    kind_N: Array,
    recent_R: Array,
    weight_R: Array,
    doubt: float,
    item_doubt: float,
) -> Array:
    """The logarithm of a kind's share of what follows an item, divided by its usual share, summed over the items of a
    history by their weights: float64 [K + 1], 0 in the last place.

    That share is counted after the item, with `item_doubt` steps at the share after the item's kind added, which is
    counted with `doubt` steps at the usual share added. All kinds that followed neither have one value, so only those
    that did are looked at.

    item_values, item_columns, item_starts: what followed items, as in `scipy.sparse.csr_matrix`; later rows are empty.
    kind_values, kind_columns, kind_starts: the same of kinds.
    kind_logs: log(1 + value / (doubt · usual share)) for each of the latter.
    """
    kinds = len(usual_K)
    evidence_K, count_K, unseen = np.zeros(kinds + 1), np.zeros(kinds), 0.0
    for place in range(len(recent_R)):
        item, weight = recent_R[place], weight_R[place]
        kind = kind_N[item] if item < len(kind_N) else -1
        item_begin, item_end, after_item = _row(item_starts, item_values, item)
        kind_begin, kind_end, after_kind = _row(kind_starts, kind_values, kind)
        unseen += weight * np.log(doubt * item_doubt / ((after_kind + doubt) * (after_item + item_doubt)))
        for entry in range(kind_begin, kind_end):
            evidence_K[kind_columns[entry]] += weight * kind_logs[entry]
            count_K[kind_columns[entry]] = kind_values[entry]
        for entry in range(item_begin, item_end):
            column = item_columns[entry]
            share = (count_K[column] + doubt * usual_K[column]) / (after_kind + doubt)
            evidence_K[column] += weight * np.log1p(item_values[entry] / (item_doubt * share))
        for entry in range(kind_begin, kind_end):
            count_K[kind_columns[entry]] = 0.0
    evidence_K[:kinds] += unseen
    return evidence_K
