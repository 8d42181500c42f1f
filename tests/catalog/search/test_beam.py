"""The beam search against a beam search written the slow way."""

import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from catalog.ids.index import ItemIndex
from catalog.search.beam import BeamSearch
from catalog.search.device_index import DeviceIndex
from catalog.search.restriction import FilterBitmap, Restriction
from tests.catalog.search.slow_search import slow_search

EITHER_WAY = pytest.mark.parametrize("compiled", [True, False], ids=["compiled", "vectorised"])


@st.composite
def batches(draw):
    """An index, and rows: width, excluded, allowed and included leaves (None: all), and a seed of its model."""
    sizes = draw(st.lists(st.integers(1, 6), min_size=1, max_size=4))
    path = st.tuples(*(st.integers(0, size - 1) for size in sizes))
    paths = draw(st.lists(path, min_size=1, max_size=60, unique=True))
    index, _ = ItemIndex.build(np.array(paths), sizes)
    leaves = st.lists(st.integers(0, len(paths) - 1), unique=True).map(sorted).map(lambda x: np.array(x, np.int64))
    row = st.tuples(st.integers(1, 70), leaves, st.none() | leaves, st.none() | leaves, st.integers(0, 3))
    return index, draw(st.lists(row, min_size=1, max_size=5))


def log_probabilities(seed, path, size, coarse):
    """What a made-up model thinks of the codes after `path`; coarse ones are full of ties."""
    generator = np.random.default_rng([seed, len(path), *path])
    logits = generator.integers(0, 3, size) if coarse else generator.normal(size=size)
    return torch.log_softmax(torch.tensor(logits, dtype=torch.float32), -1)


def run(index, widths, restriction, models, *, compiled=True):
    """Drive the search under test with one made-up model a row."""
    return searched(index, widths, restriction, models, compiled=compiled)[1]


def searched(index, widths, restriction, models, **options):
    """The search, and what it found. options: of the search."""
    search = BeamSearch(DeviceIndex(index), widths, restriction, **options)
    paths = {}

    def decode(level, beams):
        previous = paths.get(level - 1, [()] * len(search.layouts[level - 1].row_B))
        parents, codes = beams.parent_B.tolist(), beams.code_B.tolist()
        paths[level] = [(*previous[parent], code) for parent, code in zip(parents, codes, strict=True)]
        rows = search.layouts[level].row_B.tolist()
        return torch.stack([models[row](path) for row, path in zip(rows, paths[level], strict=True)])

    return search, search.run(torch.stack([model(()) for model in models]), decode)


def models_of(index, seeds, coarse):
    return [lambda path, seed=seed: log_probabilities(seed, path, index.sizes[len(path)], coarse) for seed in seeds]


@EITHER_WAY
@given(batches(), st.booleans())
def test_equals_the_slow_search_for_every_row_of_a_mixed_batch(compiled, batch, coarse):
    index, rows = batch
    widths, excluded, allowed, included, seeds = zip(*rows, strict=True)
    sets = [None if leaves is None else FilterBitmap(index, leaves) for leaves in allowed]
    models = models_of(index, seeds, coarse)
    found = run(index, widths, Restriction(index, excluded, sets, included), models, compiled=compiled)
    for width, out, *limits, model, ranked in zip(widths, excluded, allowed, included, models, found, strict=True):
        wanted = set(range(len(index))) - set(out.tolist())
        for limit in limits:
            wanted &= wanted if limit is None else set(limit.tolist())
        expected = slow_search(index, width, wanted, model)
        assert ranked.leaves.tolist() == [leaf for leaf, _ in expected]
        assert ranked.scores.tolist() == [score for _, score in expected]
        assert len(set(ranked.leaves.tolist())) == min(width, len(wanted))


@EITHER_WAY
@given(batches(), st.booleans())
def test_scores_by_level_are_the_models_and_multiply_to_the_whole(compiled, batch, coarse):
    index, rows = batch
    widths, excluded, _, _, seeds = zip(*rows, strict=True)
    models = models_of(index, seeds, coarse)
    search, found = searched(index, widths, Restriction(index, excluded), models, compiled=compiled)
    for model, ranked, score_KL in zip(models, found, search.level_scores(), strict=True):
        assert score_KL.shape == (len(ranked.leaves), index.depth)
        np.testing.assert_allclose(np.exp(score_KL).prod(1), np.exp(ranked.scores), rtol=1e-4)
        for leaf, score_L in zip(ranked.leaves.tolist(), score_KL.tolist(), strict=True):
            path = index.path(leaf)
            expected = [model(tuple(path[:level]))[code].item() for level, code in enumerate(path)]
            assert score_L == pytest.approx(expected, abs=1e-5)


@EITHER_WAY
@given(batches(), st.booleans())
def test_without_restriction_the_whole_catalog_is_wanted(compiled, batch, coarse):
    index, rows = batch
    widths, *_, seeds = zip(*rows, strict=True)
    models = models_of(index, seeds, coarse)
    found = run(index, widths, None, models, compiled=compiled)
    for width, model, ranked in zip(widths, models, found, strict=True):
        expected = slow_search(index, width, range(len(index)), model)
        assert list(zip(ranked.leaves.tolist(), ranked.scores.tolist(), strict=True)) == expected


@EITHER_WAY
def test_a_beam_as_wide_as_the_catalog_scores_every_item(compiled):
    paths = np.unique(np.random.default_rng(0).integers(0, 8, (300, 3)), axis=0)
    index, _ = ItemIndex.build(paths, [8, 8, 8])
    model = models_of(index, [0], coarse=False)[0]
    (ranked,) = run(index, [10_000], None, [model], compiled=compiled)
    totals = torch.stack([sum(model(tuple(path[:n]))[path[n]] for n in range(3)) for path in paths.tolist()])
    order = totals.argsort(descending=True, stable=True)
    assert ranked.leaves.tolist() == order.tolist()
    assert ranked.scores.tolist() == totals[order].tolist()


@EITHER_WAY
def test_a_row_that_wants_nothing_gets_nothing_and_disturbs_nobody(compiled):
    index, _ = ItemIndex.build(np.array([[0, 0], [0, 1], [1, 0]]), [2, 2])
    models = models_of(index, [0, 1], coarse=False)
    restriction = Restriction(index, [np.array([0, 1, 2]), np.array([1])])
    nothing, something = run(index, [3, 3], restriction, models, compiled=compiled)
    assert nothing.leaves.tolist() == []
    assert sorted(something.leaves.tolist()) == [0, 2]
    (alone,) = run(index, [3], Restriction(index, [np.array([0, 1, 2])]), models[:1], compiled=compiled)
    assert alone.leaves.tolist() == []


@EITHER_WAY
def test_certain_codes_tie_whatever_the_sign_of_their_zero(compiled):
    index, _ = ItemIndex.build(np.arange(4)[:, None], [4])
    logp = torch.tensor([[-3.0, 0.0, -1e-7, -0.0]])
    (ranked,) = BeamSearch(DeviceIndex(index), [4], compiled=compiled).run(logp, lambda level, beams: logp)
    assert ranked.leaves.tolist() == [1, 3, 2, 0]
    assert ranked.scores.tolist() == [0.0, 0.0, logp[0, 2].item(), -3.0]


@pytest.mark.parametrize("selectivity", [1.0, 0.1, 0.001, 0.0])
def test_both_ways_keep_the_same_beams_of_a_large_catalog(selectivity):
    generator = np.random.default_rng(1)
    paths = np.unique(generator.integers(0, [16, 256, 256], (30_000, 3)), axis=0)
    index, _ = ItemIndex.build(paths, [16, 256, 256])
    chosen = FilterBitmap.of_mask(index, generator.random(len(index)) < selectivity)
    seen = np.unique(generator.integers(0, len(index), 300))
    restriction = Restriction(index, [seen] * 4, [chosen, None, chosen, None], [None, None, seen[::2], seen[::2]])
    models = models_of(index, range(4), coarse=False)
    widths = [50, 200, 7, 512]
    ways = [run(index, widths, restriction, models, compiled=compiled) for compiled in (True, False)]
    for compiled, vectorised in zip(*ways, strict=True):
        assert compiled.leaves.tolist() == vectorised.leaves.tolist()
        assert compiled.scores.tolist() == vectorised.scores.tolist()


def test_importing_the_search_does_not_load_numba():
    """vLLM's engine process, which imports the main module again, does not start with it."""
    program = "import sys, catalog.search.transformers, server.engine.vllm.messages; sys.exit('numba' in sys.modules)"
    subprocess.run([sys.executable, "-c", program], check=True)
