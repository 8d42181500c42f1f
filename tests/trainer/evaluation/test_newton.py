"""Newton's method finds what a method of gradients finds, within bounds."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize

from trainer.evaluation.guidance.likelihood import Likelihood
from trainer.evaluation.guidance.newton import Bounds, Local, least

PENALTY = 0.3


def choice_of(features, seed, spread):
    """A likelihood of twenty questions, and what is drawn towards: convex, with features of different size."""
    generator = np.random.default_rng(seed)
    values = [generator.normal(0, spread, (6, features)) * 10.0 ** -np.arange(features) for _ in range(20)]
    likelihood = Likelihood(values, generator.integers(0, 6, 20).tolist())
    usual_F = generator.normal(0, 1, features)

    def penalized(weight_F):
        value, slope_F, curvature_FF = likelihood.around(weight_F)
        away_F = weight_F - usual_F
        return Local(
            value + PENALTY * away_F @ away_F / 2,
            slope_F + PENALTY * away_F,
            curvature_FF + PENALTY * np.eye(features),
        )

    return penalized


@given(
    st.integers(1, 5), st.integers(0, 99), st.sampled_from([0.1, 1.0, 20.0]), st.lists(st.integers(0, 3), min_size=5)
)
def test_it_finds_what_gradients_find(features, seed, spread, kinds):
    function = choice_of(features, seed, spread)
    ends = [(-np.inf, np.inf), (0.0, np.inf), (-np.inf, 0.0), (-0.5, 0.5)]
    low_F, high_F = np.array([ends[kind] for kind in kinds[:features]]).T
    found_F = least(function, np.zeros(features), Bounds(low_F, high_F))
    by_gradients = minimize(
        lambda weight_F: (function(weight_F).value, function(weight_F).slope_F),
        np.zeros(features),
        jac=True,
        method="L-BFGS-B",
        bounds=list(zip(low_F, high_F, strict=True)),
        options={"maxiter": 10_000, "ftol": 1e-15, "gtol": 1e-9},
    )
    assert (found_F >= low_F).all()
    assert (found_F <= high_F).all()
    assert function(found_F).value <= by_gradients.fun + 1e-3
    bound_F = (by_gradients.x == low_F) | (by_gradients.x == high_F)
    pushed_F = bound_F & (np.abs(by_gradients.jac) > 0.1)
    np.testing.assert_array_equal(found_F[pushed_F], by_gradients.x[pushed_F])  # exactly at the bound


def test_a_variable_without_slope_and_without_others_stays_exactly():
    def function(place_F):
        curvature_FF = np.array([[2.0, 0.0, 1.0], [0.0, 3.0, 0.0], [1.0, 0.0, 2.0]])
        away_F = place_F - np.array([1.0, 0.1, 2.0])
        return Local(away_F @ curvature_FF @ away_F / 2, curvature_FF @ away_F, curvature_FF)

    found_F = least(function, np.array([0.0, 0.1, 0.0]), Bounds(np.full(3, -9.0), np.full(3, 9.0)))
    assert found_F[1] == 0.1
    np.testing.assert_allclose(found_F[[0, 2]], [1.0, 2.0])


@pytest.mark.parametrize("part", [0.3, 0.99, 1.0, 5.0])
def test_a_curvature_that_is_not_quite_the_functions_own_costs_steps_only(part):
    function = choice_of(3, seed=7, spread=1.0)
    wide = Bounds(np.full(3, -np.inf), np.full(3, np.inf))

    def curved(place_F):
        here = function(place_F)
        return Local(here.value, here.slope_F, part * here.curvature_FF)

    found_F, exact_F = least(curved, np.zeros(3), wide), least(function, np.zeros(3), wide)
    assert function(found_F).value == pytest.approx(function(exact_F).value, abs=0.01)


def test_a_start_beyond_the_bounds_is_brought_within_them():
    function = choice_of(2, seed=1, spread=1.0)
    within = Bounds(np.zeros(2), np.ones(2))
    np.testing.assert_allclose(
        least(function, np.array([-5.0, 9.0]), within), least(function, np.ones(2), within), atol=0.01
    )
