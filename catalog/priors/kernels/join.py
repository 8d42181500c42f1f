"""Join what several sources say.

Shapes: N items, S items that a source speaks of, C candidates, F features.
"""

from __future__ import annotations

import numpy as np

from catalog.priors.kernels.compiled import Array, compiled, hash_bits, hash_slot
from catalog.priors.kernels.sums import strongest

__all__ = ["join"]


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
    bits = hash_bits(len(item_C))
    table = np.full(1 << bits, -1, np.int32)
    for items in found:
        for item in items:
            at = hash_slot(table, bits, item, item_C)
            if table[at] < 0:
                table[at], item_C[count] = count, item
                count += 1
    item_C = np.sort(item_C[:count])
    table[:] = -1
    for place in range(count):
        table[hash_slot(table, bits, item_C[place], item_C)] = place
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
            candidate = table[hash_slot(table, bits, item_S[place], item_C)]
            if candidate >= 0:
                value_CF[candidate, columns[source]] = value_S[place] / greatest[source]
    return item_C, value_CF
