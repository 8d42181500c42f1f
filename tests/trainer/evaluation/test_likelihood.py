"""The conditional logit's likelihood is what its formula says, and so are its slope and curvature."""

import numpy as np
import pytest
from scipy.optimize import approx_fprime
from scipy.special import log_softmax

from trainer.evaluation.guidance import likelihood
from trainer.evaluation.guidance.likelihood import Likelihood

FEATURES = 4


def questions(count, spread, seed=0):
    """Candidates of some questions, from one to nine of each, and the right ones; scores differ by `spread`."""
    generator = np.random.default_rng(seed)
    values = [generator.normal(0, spread, (generator.integers(1, 10), FEATURES)) for _ in range(count)]
    return values, [int(generator.integers(len(value_CF))) for value_CF in values]


def by_the_formula(values, right, weight_F):
    return -sum(log_softmax(value_CF @ weight_F)[place] for value_CF, place in zip(values, right, strict=True))


@pytest.mark.parametrize("piece", [1, 7, 40, 10_000])
@pytest.mark.parametrize("spread", [0.1, 1.0, 30.0])
def test_the_value_and_the_slope_are_those_of_the_formula(monkeypatch, piece, spread):
    monkeypatch.setattr(likelihood, "PIECE", piece)
    values, right = questions(30, spread)
    weight_F = np.array([0.5, -1.0, 0.0, 2.0])
    own = Likelihood(values, right)
    value, slope_F, _ = own.around(weight_F)
    assert value == pytest.approx(by_the_formula(values, right, weight_F))
    assert own.value(weight_F) == pytest.approx(value)
    numeric_F = approx_fprime(weight_F, lambda at: by_the_formula(values, right, at), 1e-7)
    np.testing.assert_allclose(slope_F, numeric_F, rtol=1e-4, atol=1e-4 * max(1, value))


@pytest.mark.parametrize("piece", [1, 40, 10_000])
def test_the_curvature_is_the_slope_of_the_slope_where_no_candidate_is_negligible(monkeypatch, piece):
    monkeypatch.setattr(likelihood, "PIECE", piece)
    own, weight_F = Likelihood(*questions(30, 0.7)), np.array([0.5, -1.0, 0.0, 1.0])
    numeric_FF = approx_fprime(weight_F, lambda at: own.around(at)[1], 1e-6)
    np.testing.assert_allclose(own.around(weight_F)[2], numeric_FF, rtol=1e-3, atol=1e-3)


def test_what_is_negligible_is_left_out_of_the_curvature_alone():
    """Of a question whose candidates all but one are a million times less likely, nothing curves."""
    value_CF = np.array([[0.0], [-14.0], [-14.0]])
    value, slope_F, curvature_FF = Likelihood([value_CF], [1]).around(np.ones(1))
    assert value == pytest.approx(by_the_formula([value_CF], [1], np.ones(1)))
    assert slope_F[0] == pytest.approx(14, rel=1e-3)
    assert curvature_FF[0, 0] == pytest.approx(0, abs=1e-9)
