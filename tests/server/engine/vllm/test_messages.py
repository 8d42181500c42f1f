"""What crosses the process boundary comes back as it was."""

from types import SimpleNamespace

import numpy as np
import pytest

from server.engine.vllm.messages import (
    EngineOptions,
    RankOptions,
    pack_members,
    pack_tokens,
    unpack_members,
    unpack_tokens,
)


def test_options_survive():
    options = EngineOptions(scratch_blocks=12, normalize="vocabulary")
    config = SimpleNamespace(additional_config=options.to_additional_config())
    assert EngineOptions.of(config) == options
    request = RankOptions(k=3, width=5, excluded=[1, 4], included=[2], leaf_set=7, snapshot=2, by_level=True)
    assert RankOptions.of(request.to_extra_kwargs()) == request


def test_tokens_survive_whatever_their_type():
    levels = [np.arange(5, dtype=np.int32), np.arange(10, dtype=np.int64)[::2]]
    unpacked = unpack_tokens(pack_tokens(levels))
    assert [tokens.tolist() for tokens in unpacked] == [tokens.tolist() for tokens in levels]


@pytest.mark.parametrize("leaves", [1, 7, 8, 1001])
def test_sets_survive_whatever_their_length(leaves):
    member_N = np.random.default_rng(0).random(leaves) < 0.5
    assert unpack_members(pack_members(member_N), leaves).tolist() == member_N.tolist()
