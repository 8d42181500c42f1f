import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from catalog.data.row_lookup import RowLookup

ids = st.lists(st.sampled_from([f"item-{i}" for i in range(30)]), min_size=1, max_size=12, unique=True)


@st.composite
def insertions(draw):
    """Rows before, the new ids among them afterwards, and the order of all."""
    everything = draw(ids)
    new = draw(st.sets(st.sampled_from(everything), max_size=len(everything) - 1))
    return [item_id for item_id in everything if item_id not in new], everything


def insert(row_lookup, before, after):
    new = [item_id for item_id in after if item_id not in before]
    moved = np.array([after.index(item_id) for item_id in before], np.int64)
    return row_lookup.inserted(moved, new, np.array([after.index(item_id) for item_id in new], np.int64))


@given(insertions())
def test_rows_are_found_before_and_after_an_insertion(insertion):
    before, after = insertion
    old = RowLookup.of(before)
    new = insert(old, before, after)
    for rows, row_lookup in ((before, old), (after, new)):
        assert [row_lookup.row_of(item_id) for item_id in rows] == list(range(len(rows)))
    assert all(old.row_of(item_id) is None for item_id in after if item_id not in before)


@given(ids, ids)
def test_two_states_made_from_one_do_not_see_each_other(left, right):
    base = ["base-0", "base-1"]
    old = RowLookup.of(base)
    states = [[*left, *base], [*base, *right], [base[0], *left, base[1]]]
    rosters = [insert(old, base, state) for state in states]
    for state, row_lookup in zip(states, rosters, strict=True):
        for item_id in {*left, *right, *base}:
            assert row_lookup.row_of(item_id) == (state.index(item_id) if item_id in state else None)
