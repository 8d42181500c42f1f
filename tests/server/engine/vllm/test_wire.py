"""What crosses the process boundary comes back as it was."""

from types import SimpleNamespace

import numpy as np

from server.engine.vllm.wire import EngineOptions, RankOptions, pack_tokens, unpack_tokens


def test_options_survive():
    options = EngineOptions(scratch_blocks=12, normalize="vocabulary")
    config = SimpleNamespace(additional_config=options.to_additional_config())
    assert EngineOptions.of(config) == options
    request = RankOptions(k=3, width=5, excluded=[1, 4])
    assert RankOptions.of(request.to_extra_kwargs()) == request


def test_tokens_survive_whatever_their_type():
    levels = [np.arange(5, dtype=np.int32), np.arange(10, dtype=np.int64)[::2]]
    unpacked = unpack_tokens(pack_tokens(levels))
    assert [tokens.tolist() for tokens in unpacked] == [tokens.tolist() for tokens in levels]
