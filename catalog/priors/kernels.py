"""What makes a prior quick: loops over a question's few thousand numbers, compiled by numba.

NumPy would spend most of its time on the calls. Whoever imports this module loads numba, so it is imported when the
first priors are made: vLLM's engine process does not start once numba is imported.

Shapes: N items, R rows that are added up, S items that a source speaks of, C candidates, F features, H items of a
history, Q readings of a query's words, P words of a query, B bounds of the fields of an item.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
from numba import njit
from numpy.typing import NDArray

__all__ = ["compare_words", "join", "strongest", "sum_of_rows", "tastes"]

Array = NDArray[Any]
Function = TypeVar("Function", bound=Callable[..., Any])

HASH = np.uint64(0x9E3779B97F4A7C15)
BLOOM = 63


def compiled(function: Function) -> Function:
    """Compile a function at its first call, and cache the machine code in __pycache__ or NUMBA_CACHE_DIR."""
    machine_code: Function = njit(cache=True, error_model="numpy")(function)
    return machine_code


@compiled
def _bits(entries: int) -> int:
    """Of a hash table that is at most half full."""
    bits = 4
    while (1 << bits) < 2 * entries:
        bits += 1
    return bits


@compiled
def _slot(table: Array, bits: int, key: int, keys: Array) -> Any:
    """The place in a hash table where a key is, or where it belongs; the table has places in `keys`, or -1."""
    at = np.int64((np.uint64(key) * HASH) >> np.uint64(64 - bits))
    while table[at] >= 0 and keys[table[at]] != key:
        at = (at + 1) & ((1 << bits) - 1)
    return at


@compiled
def sum_of_rows(starts: Array, columns: Array, values: Array, row_R: Array, weight_R: Array) -> tuple[Array, Array]:
    """The weighted sum of some rows of a sparse matrix: the columns where it is stored, in any order, and its values.

    starts, columns, values: the matrix, as in `scipy.sparse.csr_matrix`. Rows that it does not have are empty.
    """
    entries = 0
    for row in row_R:
        if row < len(starts) - 1:
            entries += starts[row + 1] - starts[row]
    item_S, value_S = np.empty(entries, np.int64), np.empty(entries, np.float64)
    bits = _bits(entries)
    table = np.full(1 << bits, -1, np.int32)
    count = 0
    for place in range(len(row_R)):
        if row_R[place] < len(starts) - 1:
            for entry in range(starts[row_R[place]], starts[row_R[place] + 1]):
                at = _slot(table, bits, columns[entry], item_S)
                if table[at] < 0:
                    table[at] = count
                    item_S[count] = columns[entry]
                    value_S[count] = 0.0
                    count += 1
                value_S[table[at]] += values[entry] * weight_R[place]
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


@compiled
def _present(items: Array, present_N: Array) -> Array:
    """The places of items that are there."""
    return np.array([place for place, item in enumerate(items) if item < len(present_N) and present_N[item]], np.int64)


@compiled
def _distinct(found: list[Array]) -> tuple[Array, Array, int]:
    """All items, ascending, each once, and a hash table of their places with its bits."""
    count = 0
    for items in found:
        count += len(items)
    item_C, count = np.empty(count, np.int64), 0
    bits = _bits(len(item_C))
    table = np.full(1 << bits, -1, np.int32)
    for items in found:
        for item in items:
            at = _slot(table, bits, item, item_C)
            if table[at] < 0:
                table[at], item_C[count] = count, item
                count += 1
    item_C = np.sort(item_C[:count])
    table[:] = -1
    for place in range(count):
        table[_slot(table, bits, item_C[place], item_C)] = place
    return item_C, table, bits


@compiled
def join(
    item_sources: tuple[Array, ...],
    value_sources: tuple[Array, ...],
    columns: Array,
    further: Array,
    present_N: Array,
    listed: Array,
    features: int,
) -> tuple[Array, Array]:
    """The candidates of a question, int64 [C] ascending, and what the sources say of them: float64 [C, F].

    item_sources, value_sources: a tuple with one array for each source.
    columns: of the feature of each source; its greatest value is 1 there.
    further: other candidates.
    present_N: 0 for items that are gone, which are no candidates, as those that it does not have.
    listed: how many items each source lists.
    features: F.
    """
    greatest = np.full(len(columns), 1e-9)
    found = [further[_present(further, present_N)]]
    for source in range(len(columns)):
        item_S, value_S = item_sources[source], value_sources[source]
        kept = _present(item_S, present_N)
        for place in kept:
            greatest[source] = max(greatest[source], value_S[place])
        found.append(item_S[kept[strongest(item_S[kept], value_S[kept], listed[source])]])
    item_C, table, bits = _distinct(found)
    value_CF = np.zeros((len(item_C), features))
    for source in range(len(columns)):
        item_S, value_S = item_sources[source], value_sources[source]
        for place in range(len(item_S)):
            candidate = table[_slot(table, bits, item_S[place], item_C)]
            if candidate >= 0:
                value_CF[candidate, columns[source]] = value_S[place] / greatest[source]
    return item_C, value_CF


@compiled
def compare_words(
    slot_N: Array,
    bounds_SB: Array,
    word_W: Array,
    number_Q: Array,
    place_Q: Array,
    weight_Q: Array,
    rarity_P: Array,
    digit_P: Array,
    item_C: Array,
    value_CF: Array,
) -> None:
    """Fills in the columns 1 to 6 of `WORD_FEATURES`: what the words of single items say about a query.

    slot_N: where the words of each item stand: those of field b from bounds_SB[slot, b] up to bounds_SB[slot, b + 1].
    word_W: the numbers of words. The fields are the text, the title, the brand and the categories.
    number_Q, place_Q, weight_Q: as in `QueryWords`.
    rarity_P: how much each word of the query counts.
    digit_P: whether it has a digit.
    """
    words = len(rarity_P)
    bloom = np.uint64(0)
    for number in number_Q:
        bloom |= np.uint64(1) << np.uint64(number & BLOOM)
    rarity, digits = max(rarity_P.sum(), 1e-9), digit_P.sum()
    found_P = np.empty(words)
    for place in range(len(item_C)):
        slot = slot_N[item_C[place]]
        for field in range(bounds_SB.shape[1] - 1):
            found_P[:] = 0.0
            begin, end = bounds_SB[slot, field], bounds_SB[slot, field + 1]
            for entry in range(begin, end):
                word = word_W[entry]
                if (bloom >> np.uint64(word & BLOOM)) & np.uint64(1):
                    reading = np.searchsorted(number_Q, word)
                    while reading < len(number_Q) and number_Q[reading] == word:
                        found_P[place_Q[reading]] = max(found_P[place_Q[reading]], weight_Q[reading])
                        reading += 1
            covered = 0.0
            for p in range(words):
                covered += found_P[p] * rarity_P[p]
            covered /= rarity
            length = max(end - begin, 1)
            if field == 0:
                value_CF[place, 1] = covered
                if digits > 0:
                    value_CF[place, 6] = (found_P * digit_P).sum() / digits
            elif field == 1:
                value_CF[place, 2] = covered
                value_CF[place, 3] = min(found_P.sum() / length, 1.0)
            elif field == 2:
                value_CF[place, 4] = found_P.sum() >= length
            else:
                value_CF[place, 5] = covered


@compiled
def tastes(
    brand_N: Array, category_N: Array, log_price_N: Array, recent_H: Array, decay: float, item_C: Array, value_CF: Array
) -> None:
    """Fills in three columns: the shares of the history with an item's brand and category, and how near its price is.

    recent_H: the items of the history, the newest last; it has at least one.
    """
    weight_H = decay ** np.arange(len(recent_H))[::-1]
    weight_H /= weight_H.sum()
    usual, weight = 0.0, 0.0
    for at in range(len(recent_H)):
        if np.isfinite(log_price_N[recent_H[at]]):
            usual += weight_H[at] * log_price_N[recent_H[at]]
            weight += weight_H[at]
    for place in range(len(item_C)):
        item = item_C[place]
        for at in range(len(recent_H)):
            if brand_N[item] >= 0 and brand_N[item] == brand_N[recent_H[at]]:
                value_CF[place, 0] += weight_H[at]
            if category_N[item] >= 0 and category_N[item] == category_N[recent_H[at]]:
                value_CF[place, 1] += weight_H[at]
        if weight > 0:
            price = log_price_N[item]
            value_CF[place, 2] = np.exp(-abs(price - usual / weight)) if np.isfinite(price) else 1.0
