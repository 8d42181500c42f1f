"""What a rank request refuses by itself."""

import numpy as np
import pytest

from server.engine.errors import EngineError
from server.engine.protocol import Ranking, RankRequest


def test_a_sensible_request_is_accepted():
    assert RankRequest([1, 2], 5, 10, "r", (0, 3)).width == 10


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"prompt": []}, "prompt is empty"),
        ({"k": 0}, "at least one item"),
        ({"k": 6}, "raise the width to 6"),
        ({"deny": (3, 3)}, "strictly increasing"),
        ({"deny": (4, 3)}, "strictly increasing"),
        ({"deny": (-1, 3)}, "negative"),
    ],
)
def test_a_contradictory_request_is_refused(fields, message):
    sensible = {"prompt": [1], "k": 5, "width": 5, "request_id": "r", "deny": ()}
    with pytest.raises(EngineError, match=message):
        RankRequest(**sensible | fields)


def test_a_ranking_is_made_of_plain_numbers():
    ranking = Ranking.of(np.array([3.0, 1.0]), np.array([-0.5, -2.0], np.float32))
    assert ranking == Ranking((3, 1), (-0.5, -2.0))
    by_level = Ranking.of(np.array([3.0]), np.array([-0.5]), np.array([[-0.25, -0.25]], np.float32))
    assert by_level == Ranking((3,), (-0.5,), ((-0.25, -0.25),))


@pytest.mark.parametrize("score", [np.nan, -np.inf])
def test_a_broken_model_is_an_error(score):
    with pytest.raises(EngineError, match="not finite"):
        Ranking.of(np.array([1]), np.array([score]))
