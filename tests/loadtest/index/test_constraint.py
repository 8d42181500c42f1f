import numpy as np

from loadtest.index.beam_steps import draw_logp
from loadtest.index.constraint import IndexConstraint
from loadtest.synthetic.codes import uniform_codes


def test_a_filtered_search_finds_the_best_it_lets_through():
    """A beam as wide as the catalog, against the sum of the log-probabilities of every path."""
    ours = IndexConstraint.build(uniform_codes(200, 3, 16, 0), [16] * 3)
    logp = [draw_logp(1, 16, np.random.default_rng(level)).expand(200, -1).contiguous() for level in range(3)]
    paths = ours.index.paths(np.arange(200))
    score = sum(logp[level][0, paths[:, level]].numpy() for level in range(3))
    mask = np.random.default_rng(3).random(200) < 0.3
    for chosen, wanted in ((None, np.arange(200)), (ours.compile_filter(mask), np.flatnonzero(mask))):
        ranked = ours.search(200, chosen, logp)
        assert sorted(ranked.leaves.tolist()) == wanted.tolist()
        np.testing.assert_allclose(ranked.scores, score[ranked.leaves], atol=1e-5)
        assert (np.diff(ranked.scores) <= 0).all()
