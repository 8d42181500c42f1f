"""How loops are compiled, and a hash table for them.

Shapes: S keys of a table, K rows that are read, R rows and C cells of a LiveCounts.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
from numba import njit
from numpy.typing import NDArray

__all__ = ["Array", "add_to", "compiled", "compiled_without_lock", "empty_sum", "entries_of", "hash_bits", "hash_slot"]

Array = NDArray[Any]
Function = TypeVar("Function", bound=Callable[..., Any])

HASH = np.uint64(0x9E3779B97F4A7C15)


def compiled(function: Function) -> Function:
    """Compile a function at its first call, and cache the machine code in __pycache__ or NUMBA_CACHE_DIR."""
    machine_code: Function = njit(cache=True, error_model="numpy")(function)
    return machine_code


def compiled_without_lock(function: Function) -> Function:
    """The same, for what looks at all items: other threads go on meanwhile."""
    machine_code: Function = njit(cache=True, error_model="numpy", nogil=True)(function)
    return machine_code


@compiled
def hash_bits(entries: int) -> int:
    """Of a hash table that is at most half full."""
    bits = 4
    while (1 << bits) < 2 * entries:
        bits += 1
    return bits


@compiled
def hash_slot(table: Array, bits: int, key: int, keys: Array) -> Any:
    """The place in a hash table where a key is, or where it belongs; the table has places in `keys`, or -1."""
    at = np.int64((np.uint64(key) * HASH) >> np.uint64(64 - bits))
    while table[at] >= 0 and keys[table[at]] != key:
        at = (at + 1) & ((1 << bits) - 1)
    return at


@compiled
def entries_of(starts: Array, head_R: Array, next_C: Array, row_K: Array) -> int:
    """How many entries some rows have: of a matrix that was fitted, and of what was counted since.

    starts: where each row of the matrix begins; later rows are empty.
    head_R, next_C: see `LiveCounts`.
    """
    entries = 0
    for row in row_K:
        if row < len(starts) - 1:
            entries += starts[row + 1] - starts[row]
        cell = head_R[row]
        while cell >= 0:
            entries += 1
            cell = next_C[cell]
    return entries


@compiled
def empty_sum(entries: int) -> tuple[Array, Array, Array, int]:
    """Room for the keys and values of a sum of so many entries, and the table for `add_to` with its bits."""
    bits = hash_bits(entries)
    return np.empty(entries, np.int64), np.empty(entries, np.float64), np.full(1 << bits, -1, np.int32), bits


@compiled
def add_to(table: Array, bits: int, key_S: Array, value_S: Array, count: int, key: int, value: float) -> Any:
    """Add a value to that of a key. Returns how many keys there are then; `count` is how many there were."""
    at = hash_slot(table, bits, key, key_S)
    if table[at] < 0:
        table[at], key_S[count], value_S[count] = count, key, 0.0
        count += 1
    value_S[table[at]] += value
    return count
