"""Sums of rows of matrices that were fitted once and that events add to since, and the strongest of their items.

Shapes: N items, R rows that are added up, S items that a source speaks of, C cells of a LiveCounts.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from catalog.priors.kernels.compiled import Array, add_to, compiled, empty_sum, entries_of

__all__ = ["strongest", "sum_of_rows"]


@compiled
def sum_of_rows(
    starts: Array,
    columns: Array,
    values: Array,
    fitted_N: Array,
    head_N: Array,
    next_C: Array,
    column_C: Array,
    amount_C: Array,
    root_N: Array,
    shrinkage: float,
    row_R: Array,
    weight_R: Array,
) -> tuple[Array, Array]:
    """The weighted sum of some rows: the columns where it is stored, in any order, and its values.

    What is stored for i and j is a count divided by root_N[i] · root_N[j] + shrinkage.

    starts, columns, values: what was fitted, as in `scipy.sparse.csr_matrix`; later rows are empty.
    fitted_N: the roots at that time.
    head_N, next_C, column_C, amount_C: what was counted since; see `LiveCounts`.
    """
    item_S, value_S, table, bits = empty_sum(entries_of(starts, head_N, next_C, row_R))
    count = 0
    for place in range(len(row_R)):
        row = row_R[place]
        if row < len(starts) - 1:
            for entry in range(starts[row], starts[row + 1]):
                column, value = columns[entry], np.float64(values[entry])
                before = fitted_N[row] * fitted_N[column] + shrinkage
                now = root_N[row] * root_N[column] + shrinkage
                if before != now:
                    value *= before / now
                count = add_to(table, bits, item_S, value_S, count, column, value * weight_R[place])
        cell = head_N[row]
        while cell >= 0:
            if amount_C[cell] != 0:
                value = amount_C[cell] / (root_N[row] * root_N[column_C[cell]] + shrinkage)
                count = add_to(table, bits, item_S, value_S, count, column_C[cell], value * weight_R[place])
            cell = next_C[cell]
    return item_S[:count], value_S[:count]


@compiled
def _worse(item_S: Array, value_S: Array, one: int, other: int) -> Any:
    return value_S[one] < value_S[other] or (value_S[one] == value_S[other] and item_S[one] > item_S[other])


@compiled
def strongest(item_S: Array, value_S: Array, count: int) -> Array:
    """The places of the `count` greatest values, in any order; of equal ones those of the lowest items."""
    size = min(count, len(item_S))
    heap = np.arange(size)  # the worst of those kept is first
    if size == len(item_S):
        return heap
    for begin in range(size // 2 - 1, -1, -1):
        _sink(heap, item_S, value_S, begin, size)
    for place in range(size, len(item_S)):
        if size > 0 and _worse(item_S, value_S, heap[0], place):
            heap[0] = place
            _sink(heap, item_S, value_S, 0, size)
    return heap


@compiled
def _sink(heap: Array, item_S: Array, value_S: Array, begin: int, size: int) -> None:
    at = begin
    while True:
        child = 2 * at + 1
        if child >= size:
            return
        if child + 1 < size and _worse(item_S, value_S, heap[child + 1], heap[child]):
            child += 1
        if not _worse(item_S, value_S, heap[child], heap[at]):
            return
        heap[at], heap[child] = heap[child], heap[at]
        at = child
