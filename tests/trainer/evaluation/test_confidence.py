import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainer.evaluation.confidence import mean_estimate, ratio_estimate


def test_an_interval_covers_the_true_mean_about_as_often_as_it_says():
    draw = np.random.default_rng(0)
    estimates = [mean_estimate(draw.normal(3, 2, 60), seed=trial) for trial in range(200)]
    covered = sum(estimate.low <= 3 <= estimate.high for estimate in estimates)
    assert 0.88 * 200 < covered < 200


@given(st.lists(st.integers(1, 50), min_size=2, max_size=20), st.integers(0, 1000))
def test_a_ratio_is_the_mean_over_all_values_of_all_blocks(sizes, seed):
    draw = np.random.default_rng(seed)
    blocks = [draw.random(size) for size in sizes]
    estimate = ratio_estimate(np.array([block.sum() for block in blocks]), np.array(sizes), then=np.exp)
    assert estimate.value == pytest.approx(np.exp(np.concatenate(blocks).mean()))
    assert estimate.low <= estimate.value + 1e-9
    assert estimate.value <= estimate.high + 1e-9
