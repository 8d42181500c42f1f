"""Rounds of ranking under caps, on random catalogs."""

import math
from collections import Counter

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from catalog.facets import FacetIndex
from server.engine.protocol import Ranking
from server.query.listing.caps import Cap, Tally, filled

COLUMNS = {
    "name": st.sampled_from(["a", "b", "c", None]),
    "number": st.sampled_from([0.0, -0.0, 1.5, float("nan"), None]),
    "flag": st.sampled_from([True, False, None]),
    "many": st.integers(0, 40).map(str),
}


@given(st.data())
async def test_rounds_find_what_one_look_at_everything_does(data: st.DataObject) -> None:
    """With any catalog, order, pages before and number of items that are ranked at once."""
    items = data.draw(st.integers(1, 40))
    table = pa.table(
        {
            name: pa.array(data.draw(st.lists(values, min_size=items, max_size=items)), type_)
            for (name, values), type_ in zip(
                COLUMNS.items(), (pa.string(), pa.float64(), pa.bool_(), pa.string()), strict=True
            )
        }
    )
    caps = data.draw(
        st.lists(st.builds(Cap, st.sampled_from(list(COLUMNS)), st.integers(1, 4)), min_size=1, max_size=4)
    )
    order = data.draw(st.permutations(range(items)))
    shown = data.draw(st.lists(st.sampled_from(range(items)), unique=True, max_size=5))
    k, wide = data.draw(st.integers(1, 12)), data.draw(st.integers(1, 15))
    asked = 0

    async def ask(out_N: NDArray[np.bool_] | None, rounds: int) -> tuple[Ranking, bool]:
        nonlocal asked
        assert rounds == asked
        assert out_N is not None
        asked += 1
        leaves = tuple(leaf for leaf in order if not out_N[leaf])[:wide]
        return Ranking(leaves, tuple(-float(order.index(leaf)) for leaf in leaves)), len(leaves) < wide

    tally = Tally(caps, FacetIndex(table), items)
    tally.place(shown)
    found = await filled(tally, k, k, ask)
    rows = table.to_pylist()
    values = [
        [(place, row[cap.column]) for place, cap in enumerate(caps) if not _is_none(row[cap.column])] for row in rows
    ]
    counts = Counter(pair for leaf in shown for pair in values[leaf])
    expected = []
    for leaf in order:
        if leaf not in shown and len(expected) < k and all(counts[p] < caps[p[0]].limit for p in values[leaf]):
            expected.append(leaf)
            counts.update(values[leaf])
    assert list(found.leaves) == expected
    assert asked <= k + 1


def _is_none(value: object) -> bool:
    return value is None or (isinstance(value, float) and math.isnan(value))
