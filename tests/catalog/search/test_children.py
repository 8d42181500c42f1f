"""The search whose probabilities are normalised over the children of each beam, in both implementations."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from catalog.ids.index import ItemIndex
from catalog.search.beam import BeamSearch
from catalog.search.device_index import DeviceIndex
from catalog.search.restriction import Restriction
from tests.catalog.search.slow_search import slow_search
from tests.catalog.search.test_beam import EITHER_WAY, models_of, searched


@st.composite
def catalogs(draw):
    """An index, the leaves that nobody wants, and the width and the model's seed of each row."""
    sizes = draw(st.lists(st.integers(1, 6), min_size=1, max_size=4))
    path = st.tuples(*(st.integers(0, size - 1) for size in sizes))
    paths = draw(st.lists(path, min_size=1, max_size=60, unique=True))
    index, _ = ItemIndex.build(np.array(paths), sizes)
    denied = draw(st.lists(st.integers(0, len(paths) - 1), unique=True).map(sorted))
    rows = draw(st.lists(st.tuples(st.integers(1, 70), st.integers(0, 3)), min_size=1, max_size=4))
    return index, np.array(denied, np.int64), rows


def found_over_children(index, widths, models, restriction=None, *, compiled):
    """What the search finds where one made-up model a row is asked, and the search."""
    search, found = searched(index, widths, restriction, models, over_children=True, compiled=compiled)
    return found, search


def over_children(index, model):
    """The model, normalised over the children of each path, in double precision and one path at a time."""
    known = [index.path(leaf) for leaf in range(len(index))]

    def normalized(path):
        codes = sorted({own[len(path)] for own in known if own[: len(path)] == path})
        if not codes:
            return model(path)
        logp = model(path).double()
        return (logp - torch.logsumexp(logp[codes], 0)).float()

    return normalized


@EITHER_WAY
@given(catalogs())
def test_equals_the_slow_search(compiled, catalog):
    index, denied, rows = catalog
    widths, seeds = zip(*rows, strict=True)
    models = models_of(index, seeds, coarse=False)
    wanted = set(range(len(index))) - set(denied.tolist())
    restriction = Restriction(index, [denied] * len(rows))
    found, search = found_over_children(index, widths, models, restriction, compiled=compiled)
    for width, model, ranked, score_KL in zip(widths, models, found, search.level_scores(), strict=True):
        expected = slow_search(index, width, wanted, over_children(index, model))
        assert ranked.leaves.tolist() == [leaf for leaf, _ in expected]
        np.testing.assert_allclose(ranked.scores, [score for _, score in expected], atol=1e-5)
        assert (ranked.scores <= 0).all()
        np.testing.assert_allclose(score_KL.sum(1), ranked.scores, atol=1e-5)


@EITHER_WAY
@given(catalogs())
def test_the_probabilities_of_all_items_sum_to_one(compiled, catalog):
    index, _, rows = catalog
    widths, models = [len(index)] * len(rows), models_of(index, [seed for _, seed in rows], coarse=False)
    for leaves, scores in found_over_children(index, widths, models, compiled=compiled)[0]:
        assert sorted(leaves.tolist()) == list(range(len(index)))
        assert np.exp(scores.astype(float)).sum() == pytest.approx(1, abs=1e-5)


def test_both_ways_agree_on_a_large_catalog():
    generator = np.random.default_rng(1)
    paths = np.unique(generator.integers(0, [16, 256, 256], (30_000, 3)), axis=0)
    index, _ = ItemIndex.build(paths, [16, 256, 256])
    models = models_of(index, range(4), coarse=False)
    ways = [found_over_children(index, [50, 200, 7, 512], models, compiled=compiled)[0] for compiled in (True, False)]
    for compiled, vectorised in zip(*ways, strict=True):
        np.testing.assert_allclose(compiled.scores, vectorised.scores, atol=2e-6)
        assert len(set(compiled.leaves.tolist()) & set(vectorised.leaves.tolist())) >= len(compiled.leaves) - 1


@EITHER_WAY
def test_an_only_child_is_certain_however_little_the_model_thinks_of_it(compiled):
    index, _ = ItemIndex.build(np.array([[1, 0], [1, 2], [3, 1]]), [4, 3])
    logp = torch.tensor([[0.0, -80.0, 0.0, -81.0]])
    after = torch.tensor([[-1e-7, -70.0, -60.0]])
    search = BeamSearch(DeviceIndex(index), [3], over_children=True, compiled=compiled)
    (ranked,) = search.run(logp, lambda level, beams: after.expand(search.layouts[level].beams, -1))
    first = torch.log_softmax(torch.tensor([-80.0, -81.0]), 0)
    assert ranked.leaves.tolist() == [0, 2, 1]
    np.testing.assert_allclose(ranked.scores, [first[0], first[1], first[0] - 60], atol=1e-5)


@EITHER_WAY
def test_codes_without_any_probability_are_no_numbers_that_are_none(compiled):
    index, _ = ItemIndex.build(np.arange(3)[:, None], [4])
    logp = torch.tensor([[-torch.inf, -torch.inf, -torch.inf, 0.0]])
    (ranked,) = BeamSearch(DeviceIndex(index), [3], over_children=True, compiled=compiled).run(logp, None)
    assert not np.isnan(ranked.scores).any()
