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
    places, count = np.empty(len(items), np.int64), 0
    for place in range(len(items)):
        if items[place] < len(present_N) and present_N[items[place]]:
            places[count] = place
            count += 1
    return places[:count]


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
    """The candidates of a question, int64 [C] ascending, and what the sources say of them: float32 [C, F].

    item_sources, value_sources: a tuple with one array for each source.
    columns: of the feature of each source; its greatest value is 1 there.
    further: other candidates.
    present_N: 0 for items that are gone, which are no candidates, as those that it does not have.
    listed: how many items each source lists.
    features: F.
    """
    most = len(further)
    for source in range(len(columns)):
        most += min(len(item_sources[source]), listed[source])
    item_C, bits = np.empty(most, np.int64), hash_bits(most)
    table = np.full(1 << bits, -1, np.int32)
    greatest = np.full(len(columns), 1e-9)
    count = _add(table, bits, item_C, 0, further[_present(further, present_N)])
    for source in range(len(columns)):
        kept = _present(item_sources[source], present_N)
        item_S, value_S = item_sources[source][kept], value_sources[source][kept]
        for value in value_S:
            greatest[source] = max(greatest[source], value)
        count = _add(table, bits, item_C, count, item_S[strongest(item_S, value_S, listed[source])])
    item_C = np.sort(item_C[:count])
    table[:] = -1
    for place in range(count):
        table[hash_slot(table, bits, item_C[place], item_C)] = place
    value_CF = np.zeros((count, features), np.float32)
    for source in range(len(columns)):
        item_S, value_S = item_sources[source], value_sources[source]
        for place in range(len(item_S)):
            candidate = table[hash_slot(table, bits, item_S[place], item_C)]
            if candidate >= 0:
                value_CF[candidate, columns[source]] = value_S[place] / greatest[source]
    return item_C, value_CF


@compiled
def _add(table: Array, bits: int, item_C: Array, count: int, items: Array) -> int:
    """Append those of some items that are not among the first `count` yet. Returns how many there are then."""
    for item in items:
        at = hash_slot(table, bits, item, item_C)
        if table[at] < 0:
            table[at], item_C[count] = count, item
            count += 1
    return count
