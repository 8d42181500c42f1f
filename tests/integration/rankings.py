"""What the tests of the engine share: requests, random prompts and leaves, and what a ranking should be."""

import itertools

import numpy as np

from server.engine.protocol import RankRequest

WORDS = 400
numbers = itertools.count()


def request(prompt, width, *, k=None, **limits):
    return RankRequest(prompt, k or width, width, f"test-{next(numbers)}", **limits)


def words(seed, length):
    return np.random.default_rng(seed).integers(0, WORDS, length).tolist()


def some_leaves(seed, index, count):
    return np.sort(np.random.default_rng(seed).choice(len(index), count, replace=False))


def assert_same(ranking, expected, k=None):
    leaves, scores = expected
    np.testing.assert_allclose(ranking.scores, scores[:k], atol=1e-4)
    assert list(ranking.leaves) == leaves[:k].tolist()
