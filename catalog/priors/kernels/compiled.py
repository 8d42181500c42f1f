"""How loops are compiled, and a hash table for them.

Shapes: S keys of a table.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
from numba import njit
from numpy.typing import NDArray

__all__ = ["Array", "add_to", "compiled", "hash_bits", "hash_slot"]

Array = NDArray[Any]
Function = TypeVar("Function", bound=Callable[..., Any])

HASH = np.uint64(0x9E3779B97F4A7C15)


def compiled(function: Function) -> Function:
    """Compile a function at its first call, and cache the machine code in __pycache__ or NUMBA_CACHE_DIR."""
    machine_code: Function = njit(cache=True, error_model="numpy")(function)
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
def add_to(table: Array, bits: int, key_S: Array, value_S: Array, count: int, key: int, value: float) -> Any:
    """Add a value to that of a key. Returns how many keys there are then; `count` is how many there were."""
    at = hash_slot(table, bits, key, key_S)
    if table[at] < 0:
        table[at], key_S[count], value_S[count] = count, key, 0.0
        count += 1
    value_S[table[at]] += value
    return count
