"""The guided search against scoring every leaf, and against the unguided one."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from catalog.errors import ItemIndexError
from catalog.ids.index import ItemIndex
from catalog.search.guidance import NO_PRIOR, Guidance, Prior, StaticPrior
from catalog.search.restriction import FilterBitmap, Restriction
from tests.catalog.search.test_beam import EITHER_WAY, batches, models_of, run, searched

FLOAT = np.float32
VALUES = st.sampled_from([-3.0, -0.5, 0.0, 0.25, 1.0, 2.5, 40.0])
WEIGHTS = st.sampled_from([0.0, 0.5, 1.0, 3.0])
STATIC_WEIGHTS = st.sampled_from([-2.0, 0.0, 1.0])


@st.composite
def guided_batches(draw):
    """A batch of `batches`, a static prior (or None), and a prior for every row."""
    index, rows = draw(batches())
    static_N = draw(st.none() | st.lists(VALUES, min_size=len(index), max_size=len(index)).map(np.array))
    priors = []
    for _ in rows:
        leaves = np.array(sorted(draw(st.sets(st.integers(0, len(index) - 1), max_size=20))), np.int64)
        values = np.array(draw(st.lists(VALUES, min_size=len(leaves), max_size=len(leaves))), FLOAT)
        priors.append(Prior(leaves, values, draw(WEIGHTS), draw(STATIC_WEIGHTS)))
    return index, rows, static_N, priors


def restriction_of(index, rows):
    _, deny, allowed, allow, _ = zip(*rows, strict=True)
    return Restriction(index, deny, [None if a is None else FilterBitmap(index, a) for a in allowed], allow)


def wanted_by(index, row):
    _, deny, allowed, allow, _ = row
    wanted = set(range(len(index))) - set(deny.tolist())
    for limit in (allowed, allow):
        wanted &= wanted if limit is None else set(limit.tolist())
    return sorted(wanted)


def prior_of_all(index, prior, static_N):
    """g of every leaf, float32 [N]."""
    g_N = np.zeros(len(index), FLOAT)
    if static_N is not None:
        g_N = FLOAT(prior.static_weight) * static_N.astype(FLOAT)
    g_N[prior.leaves] = prior.values
    return g_N


def by_brute_force(index, wanted, model, prior, static_N, offset):
    """The wanted leaves, best first, and the priority of each, computed one by one."""
    g_N = prior_of_all(index, prior, static_N)
    priorities = []
    for leaf in wanted:
        path, cost = index.path(leaf), FLOAT(0)
        for level, code in enumerate(path):
            cost = FLOAT(cost - FLOAT(model(path[:level])[code].item()))
        priorities.append((FLOAT(FLOAT(prior.model_weight) * cost) + FLOAT(offset - g_N[leaf]), leaf))
    return sorted(priorities)


def guided(index, widths, restriction, models, priors, static_N, *, compiled):
    """The results of every row, and the guidance they were found with."""
    static = None if static_N is None else StaticPrior(index, static_N)
    guidance = Guidance(index, priors, static, restriction)
    _, found = searched(index, widths, restriction, models, guidance=guidance, compiled=compiled)
    return found, guidance


@EITHER_WAY
@given(guided_batches(), st.booleans())
def test_a_search_as_wide_as_the_catalog_equals_brute_force(compiled, batch, coarse):
    index, rows, static_N, priors = batch
    models = models_of(index, [row[-1] for row in rows], coarse)
    widths = [len(index)] * len(rows)
    found, guidance = guided(index, widths, restriction_of(index, rows), models, priors, static_N, compiled=compiled)
    for row, model, prior, ranked, offset in zip(rows, models, priors, found, guidance.offset_R, strict=True):
        expected = by_brute_force(index, wanted_by(index, row), model, prior, static_N, offset)
        assert ranked.leaves.tolist() == [leaf for _, leaf in expected]
        assert ranked.scores.tolist() == [offset - priority for priority, _ in expected]


@EITHER_WAY
@given(guided_batches(), st.booleans())
def test_as_many_beams_as_there_are_beginnings_overlook_nothing(compiled, batch, coarse):
    """Of identifiers without their last codes; so pages of such searches are the order of all."""
    index, rows, static_N, priors = batch
    width = len({index.path(leaf)[:-1] for leaf in range(len(index))})
    models = models_of(index, [row[-1] for row in rows], coarse)
    widths, restriction = [width] * len(rows), restriction_of(index, rows)
    found, guidance = guided(index, widths, restriction, models, priors, static_N, compiled=compiled)
    for row, model, prior, ranked, offset in zip(rows, models, priors, found, guidance.offset_R, strict=True):
        expected = by_brute_force(index, wanted_by(index, row), model, prior, static_N, offset)[:width]
        assert ranked.leaves.tolist() == [leaf for _, leaf in expected]


@given(guided_batches(), st.booleans())
def test_both_ways_keep_the_same_beams(batch, coarse):
    index, rows, static_N, priors = batch
    widths, *_, seeds = zip(*rows, strict=True)
    models, restriction = models_of(index, seeds, coarse), restriction_of(index, rows)
    ways = [guided(index, widths, restriction, models, priors, static_N, compiled=way)[0] for way in (True, False)]
    for compiled, vectorised in zip(*ways, strict=True):
        assert compiled.leaves.tolist() == vectorised.leaves.tolist()
        assert compiled.scores.tolist() == vectorised.scores.tolist()


@EITHER_WAY
@given(guided_batches())
def test_one_beam_finds_the_best_listed_leaf_where_the_model_likes_all_alike(compiled, batch):
    """As the bounds of listed leaves leave out those that the row may not return."""
    index, rows, _, priors = batch
    even = [lambda path: torch.zeros(index.sizes[len(path)])] * len(rows)
    priors = [Prior(prior.leaves, np.abs(prior.values) + 1, prior.model_weight) for prior in priors]
    found, guidance = guided(index, [1] * len(rows), restriction_of(index, rows), even, priors, None, compiled=compiled)
    for row, prior, ranked, offset in zip(rows, priors, found, guidance.offset_R, strict=True):
        wanted = wanted_by(index, row)
        best = by_brute_force(index, wanted, even[0], prior, None, offset)[:1]
        if set(wanted) & set(prior.leaves.tolist()):
            assert ranked.leaves.tolist() == [leaf for _, leaf in best]


@EITHER_WAY
@given(batches(), st.booleans())
def test_rows_without_a_prior_are_answered_in_the_same_bits(compiled, batch, coarse):
    index, rows = batch
    widths, *_, seeds = zip(*rows, strict=True)
    models, restriction = models_of(index, seeds, coarse), restriction_of(index, rows)
    found, _ = guided(index, widths, restriction, models, [NO_PRIOR] * len(rows), None, compiled=compiled)
    plain = run(index, widths, restriction, models, compiled=compiled)
    for ranked, expected in zip(found, plain, strict=True):
        assert ranked.leaves.tolist() == expected.leaves.tolist()
        assert ranked.scores.tolist() == expected.scores.tolist()


@EITHER_WAY
def test_a_narrow_search_finds_what_only_the_prior_knows(compiled):
    """The model's favourite subtree fills an unguided beam; the listed leaf lies elsewhere."""
    paths = np.array([[a, b] for a in range(8) for b in range(8)])
    index, _ = ItemIndex.build(paths, [8, 8])
    logp = torch.log_softmax(-3.0 * torch.arange(8, dtype=torch.float32), 0)
    target = index.leaf((7, 7))
    prior = Prior(np.array([target]), np.array([60.0], FLOAT))
    (ranked,), _ = guided(index, [2], None, [lambda path: logp], [prior], None, compiled=compiled)
    assert ranked.leaves[0] == target
    assert ranked.scores[0] == pytest.approx(60.0 + 2 * logp[7].item(), abs=1e-3)
    (without,), _ = guided(index, [2], None, [lambda path: logp], [NO_PRIOR], None, compiled=compiled)
    assert target not in without.leaves.tolist()


@pytest.mark.parametrize(
    ("leaves", "values", "weights", "message"),
    [
        ([2, 1], [0, 0], {}, "strictly increasing"),
        ([1], [np.nan], {}, "finite"),
        ([1], [0, 0], {}, "one finite value for each"),
        ([1], [0], {"model_weight": -1.0}, "at least 0"),
        ([1], [0], {"model_weight": np.nan}, "finite"),
        ([1], [0], {"static_weight": np.inf}, "finite"),
    ],
)
def test_a_prior_that_makes_no_sense_is_refused(leaves, values, weights, message):
    with pytest.raises(ItemIndexError, match=message):
        Prior(np.array(leaves), np.array(values, FLOAT), **weights)


def test_a_listed_leaf_outside_of_the_catalog_is_refused():
    index, _ = ItemIndex.build(np.arange(4)[:, None], [4])
    with pytest.raises(ItemIndexError, match="outside the 4"):
        Guidance(index, [Prior(np.array([9]), np.zeros(1, FLOAT))])


def test_a_static_prior_needs_a_finite_value_for_every_leaf():
    index, _ = ItemIndex.build(np.arange(4)[:, None], [4])
    with pytest.raises(ItemIndexError, match="does not fit the 4 leaves"):
        StaticPrior(index, np.zeros(3))
    with pytest.raises(ItemIndexError, match="not finite"):
        StaticPrior(index, np.array([0, 1, np.inf, 2]))


@given(guided_batches())
def test_bounds_are_the_greatest_prior_below_each_edge(batch):
    """Written out leaf by leaf, for every edge that has listed leaves below it which the row may return."""
    index, rows, static_N, priors = batch
    static = None if static_N is None else StaticPrior(index, static_N)
    restriction = restriction_of(index, rows)
    guidance = Guidance(index, priors, static, restriction)
    for level, bounds in enumerate(guidance.levels):
        start = index.leaf_start(level + 1)
        above = index.leaf_start(level)
        found = np.split(np.arange(len(bounds.edge_P)), bounds.end_R[:-1])
        for row, (prior, own) in enumerate(zip(priors, found, strict=True)):
            wanted = set(prior.leaves.tolist()) & set(wanted_by(index, rows[row]))
            edges = [edge for edge in range(len(start) - 1) if wanted & set(range(start[edge], start[edge + 1]))]
            assert bounds.edge_P[own].tolist() == edges
            assert bounds.row_P[own].tolist() == [row] * len(edges)
            assert bounds.node_P[own].tolist() == [int(np.searchsorted(above, start[e], "right")) - 1 for e in edges]
            most = []
            for edge in edges:
                below = set(range(start[edge], start[edge + 1]))
                values = [
                    value for leaf, value in zip(prior.leaves, prior.values, strict=True) if leaf in below & wanted
                ]
                if below - wanted:
                    weight = FLOAT(0 if static is None else prior.static_weight)
                    of_static = np.zeros(1) if static_N is None else static_N[start[edge] : start[edge + 1]]
                    values.append((weight * of_static.astype(FLOAT)).max())
                most.append(max(values))
            assert bounds.bound_P[own].tolist() == most
    least = np.zeros(len(priors), FLOAT)
    if static_N is not None:
        least = np.array([(FLOAT(prior.static_weight) * static_N.astype(FLOAT)).max() for prior in priors], FLOAT)
    for row, offset in enumerate(guidance.offset_R.tolist()):
        own = guidance.levels[0].row_P == row
        assert offset == max([least[row], *guidance.levels[0].bound_P[own]])
