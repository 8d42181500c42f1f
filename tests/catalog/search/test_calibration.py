"""Calibrations turn scores into probabilities of the same order, and are read as they were written or not at all."""

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog.errors import BundleError
from catalog.search.calibration import (
    Calibration,
    TaskCalibration,
    open_calibrations,
    relevances,
    rivals_of,
    save_calibrations,
)

OWN = Calibration(score=0.9, rivals=-1.0, offset=0.8, usual=0.06)
numbers = st.floats(-1e6, 1e6)
calibrations = st.builds(Calibration, st.floats(1e-6, 1e6), numbers, numbers, st.floats(0, 1))


@given(st.lists(numbers, max_size=200), numbers, calibrations, st.booleans())
def test_a_higher_score_never_has_a_lower_relevance(
    scores: list[float], rivals: float, calibration: Calibration, nothing_fits: bool
) -> None:
    falling = sorted(scores, reverse=True)
    found = relevances(falling, rivals, calibration, nothing_fits=nothing_fits)
    assert found == sorted(found, reverse=True)
    assert all(0 <= relevance <= 1 for relevance in found)


@given(st.lists(numbers, min_size=1, max_size=20), numbers, calibrations)
def test_where_nothing_fits_no_item_is_more_than_usual_and_none_becomes_more_relevant(
    scores: list[float], rivals: float, calibration: Calibration
) -> None:
    capped = relevances(scores, rivals, calibration, nothing_fits=True)
    assert max(capped) <= calibration.usual
    assert all(less <= more for less, more in zip(capped, relevances(scores, rivals, calibration), strict=True))


@given(st.lists(numbers, min_size=2, max_size=30), numbers, calibrations)
def test_an_item_is_as_relevant_however_many_are_asked_for(
    scores: list[float], rivals: float, calibration: Calibration
) -> None:
    assert relevances(scores, rivals, calibration)[:1] == relevances(scores[:1], rivals, calibration)


def test_it_is_the_logistic_function_of_score_and_rivals() -> None:
    (found,) = relevances([2.0], 3.0, OWN)
    assert found == pytest.approx(1 / (1 + math.exp(-(0.9 * 2.0 - 1.0 * 3.0 + 0.8))))


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([], 0.0),
        ([40.0], 0.0),
        ([40.0, 0.0], math.log(2)),
        ([40.0, 2.0, 1.0], math.log(1 + math.exp(2) + math.exp(1))),
        ([3.0, 3.0], math.log(1 + math.exp(3))),  # of two that are equally good, one is the other's rival
        ([5_000.0, 4_000.0], 4_000.0),
        ([-5_000.0, -6_000.0], 0.0),
    ],
)
def test_the_rivals_of_a_question_are_all_but_its_best_item(values: list[float], expected: float) -> None:
    assert rivals_of(np.array(values, np.float32)) == pytest.approx(expected)


def test_they_are_read_as_they_were_written(tmp_path) -> None:
    kept = {"search": TaskCalibration(OWN, None), "recommendation": TaskCalibration(None, OWN)}
    save_calibrations(kept, tmp_path / "calibration.json")
    assert open_calibrations(tmp_path / "calibration.json") == kept


GOOD = OWN.as_json()


@pytest.mark.parametrize(
    "own",
    [
        GOOD | {"score": 0.0},
        GOOD | {"score": -1.0},
        GOOD | {"score": math.nan},
        GOOD | {"rivals": math.inf},
        GOOD | {"usual": 1.5},
        GOOD | {"offset": "much"},
        GOOD | {"offset": None},
        GOOD | {"offset": 10**400},
        {name: value for name, value in GOOD.items() if name != "rivals"},
        [],
        3,
    ],
    ids=str,
)
def test_what_is_no_calibration_is_refused_with_the_name_of_its_file(tmp_path, own) -> None:
    file = tmp_path / "calibration.json"
    file.write_text(json.dumps({"search": {"guided": own}}))
    with pytest.raises(BundleError, match=r"calibration\.json.*publish the bundle again"):
        open_calibrations(file)


@pytest.mark.parametrize("text", ["", "[]", "null", '"search"', '{"search": []}x', '{"search": [1]}', "\udcff"])
def test_a_file_of_another_form_is_refused(tmp_path, text: str) -> None:
    file = tmp_path / "calibration.json"
    file.write_text(text, errors="surrogateescape")
    with pytest.raises(BundleError, match=r"calibration\.json"):
        open_calibrations(file)
