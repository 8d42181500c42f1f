"""What crosses the process boundary comes back as it was."""

from types import SimpleNamespace

import msgspec
import numpy as np
import pytest

from server.engine.protocol import RankRequest
from server.engine.vllm.messages import (
    EngineOptions,
    RankOptions,
    pack_mask,
    pack_tokens,
    to_extra_kwargs,
    unpack_mask,
    unpack_tokens,
)


def test_options_survive():
    options = EngineOptions(scratch_blocks=12)
    config = SimpleNamespace(additional_config=options.to_additional_config())
    assert EngineOptions.of(config) == options


@pytest.mark.parametrize("allow", [None, [], [2]])
def test_requests_survive(allow):
    request = RankRequest([9], 3, 5, "r", deny=[1, 4], allow=allow, filter_id=7, index_id=2, by_level=True)
    read = RankOptions.of(msgspec.msgpack.decode(msgspec.msgpack.encode(to_extra_kwargs(request))))
    assert (read.k, read.width, read.filter_id, read.index_id, read.by_level) == (3, 5, 7, 2, True)
    assert read.deny.tolist() == [1, 4]
    assert (None if read.allow is None else read.allow.tolist()) == allow


def test_tokens_survive_whatever_their_type():
    levels = [np.arange(5, dtype=np.int32), np.arange(10, dtype=np.int64)[::2]]
    unpacked = unpack_tokens(pack_tokens(levels))
    assert [tokens.tolist() for tokens in unpacked] == [tokens.tolist() for tokens in levels]


@pytest.mark.parametrize("leaves", [1, 7, 8, 1001])
def test_masks_survive_whatever_their_length(leaves):
    member_N = np.random.default_rng(0).random(leaves) < 0.5
    assert unpack_mask(pack_mask(member_N), leaves).tolist() == member_N.tolist()
