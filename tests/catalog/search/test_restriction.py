"""Leaf sets and exclusions: what they count, and what they refuse."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog.errors import ItemIndexError
from catalog.index import ItemIndex
from catalog.search.restriction import LeafSet, Restriction


def small_index():
    return ItemIndex.build(np.array([[0, 0], [0, 1], [1, 0], [2, 1]]), [3, 2])[0]


@given(st.sets(st.integers(0, 3)))
def test_an_edge_is_alive_iff_the_set_has_a_leaf_below_it(members):
    index = small_index()
    chosen = LeafSet(index, np.array(sorted(members), np.int64))
    assert chosen.alive(0).tolist() == [bool(members & {0, 1}), bool(members & {2}), bool(members & {3})]
    assert chosen.alive(1).tolist() == [leaf in members for leaf in range(4)]


def test_exclusions_outside_the_allowed_set_are_not_counted_twice():
    index = small_index()
    restriction = Restriction(index, [np.array([0, 2])], [LeafSet(index, np.array([0, 1]))])
    assert restriction.wanted_R.tolist() == [1]


def test_only_edges_without_a_wanted_leaf_are_dead():
    restriction = Restriction(small_index(), [np.array([0, 2])])
    first, second = restriction.dead
    assert first is not None
    assert first.edge_D.tolist() == [1]
    assert second is not None
    assert second.edge_D.tolist() == [0, 2]


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
        LeafSet(small_index(), np.array(leaves))
