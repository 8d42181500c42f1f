"""Filter bitmaps and exclusions: what they count, and what they refuse."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog.errors import ItemIndexError
from catalog.ids.index import ItemIndex
from catalog.search.restriction import FilterBitmap, Restriction


def small_index():
    return ItemIndex.build(np.array([[0, 0], [0, 1], [1, 0], [2, 1]]), [3, 2])[0]


@given(st.sets(st.integers(0, 3)))
def test_a_filter_bitmap_counts_its_leaves(members):
    index = small_index()
    chosen = FilterBitmap(index, np.array(sorted(members), np.int64))
    same = FilterBitmap.of_mask(index, np.isin(np.arange(4), list(members)))
    assert len(chosen) == len(same) == len(members)
    assert chosen.count.tolist() == same.count.tolist() == [len(members & set(range(leaf))) for leaf in range(5)]
    assert np.flatnonzero(chosen.members(np.arange(4))).tolist() == sorted(members)


def test_exclusions_outside_the_allowed_set_are_not_counted_twice():
    index = small_index()
    restriction = Restriction(index, [np.array([0, 2])], [FilterBitmap(index, np.array([0, 1]))])
    assert restriction.wanted_R.tolist() == [1]


def test_included_leaves_are_wanted_if_they_are_allowed_and_not_excluded():
    index = small_index()
    allowed = FilterBitmap(index, np.array([0, 1, 2]))
    restriction = Restriction(index, [np.array([1]), np.array([1])], [allowed, None], [np.array([0, 1, 3]), None])
    assert restriction.wanted_R.tolist() == [1, 3]
    assert restriction.listed_D.tolist() == [0, 1]
    assert restriction.allowing_R.tolist() == [True, False]


def test_rows_with_one_filter_are_grouped():
    index = small_index()
    one, other = FilterBitmap(index, np.array([0])), FilterBitmap(index, np.array([0]))
    nothing = np.empty(0, np.int64)
    restriction = Restriction(index, [nothing] * 4, [one, None, other, one])
    assert [(chosen, rows.tolist()) for chosen, rows in restriction.groups] == [
        (one, [0, 3]),
        (None, [1]),
        (other, [2]),
    ]


def test_a_mask_of_another_catalog_is_refused():
    with pytest.raises(ItemIndexError, match="does not fit the 4 leaves"):
        FilterBitmap.of_mask(small_index(), np.ones(5, bool))


@pytest.mark.parametrize(
    ("leaves", "message"),
    [
        ([2, 1], "strictly increasing"),
        ([1, 1], "strictly increasing"),
        ([3, 4], "outside the 4"),
        ([-1], "outside the 4"),
        ([0.5], "leaf numbers"),
        ([[0]], "leaf numbers"),
    ],
)
def test_bad_leaves_are_refused(leaves, message):
    with pytest.raises(ItemIndexError, match=message):
        Restriction(small_index(), [np.array(leaves)])
    with pytest.raises(ItemIndexError, match=message):
        FilterBitmap(small_index(), np.array(leaves))
