"""Limits of an engine."""

import pytest
from pydantic import ValidationError

from server.core.settings import EngineSettings
from server.engine.errors import EngineError
from server.engine.protocol import RankRequest, check_limits

SETTINGS = EngineSettings(max_width=20, max_prompt_tokens=3)


def test_a_request_within_the_limits_is_admitted():
    check_limits(RankRequest([1, 2, 3], 20, 20, "r", (0, 9)), SETTINGS, leaves=10)


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        (RankRequest([1], 5, 21, "r"), "width 21 is over this engine's 20"),
        (RankRequest([1, 2, 3, 4], 5, 5, "r"), "4 tokens, this engine takes 3"),
        (RankRequest([1], 5, 5, "r", (10,)), "leaf 10 is outside the catalog of 10"),
    ],
)
def test_a_request_over_a_limit_is_refused(request_, message):
    with pytest.raises(EngineError, match=message):
        check_limits(request_, SETTINGS, leaves=10)


@pytest.mark.parametrize("setting", [{"max_width": 0}, {"block_size": 17}, {"normalize": "no"}, {"unknown": 1}])
def test_impossible_settings_are_refused(setting):
    with pytest.raises(ValidationError):
        EngineSettings(**setting)


def test_two_levels_of_the_widest_request_fit_into_the_scratch_blocks():
    assert SETTINGS.scratch_blocks == 2 * 2 * 20
