"""The optimiser's state, saved and loaded."""

import pytest
import torch

from tests.trainer.gems.small_models import assert_same, one_step, qwen2, weights_of
from trainer.core.errors import CheckpointError
from trainer.gems import GemsConfig, GemsOptimizer
from trainer.runtime.checkpoint import load_checkpoint, save_checkpoint

FREE = {"null_space": False, "lr": 1e-2, "adamw_lr": 1e-2, "vocabulary_rows": "all"}


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("stop", [3, 4])  # with a new basis chosen and not yet taken over; and after
def test_resuming_equals_no_interruption_bit_for_bit(tmp_path, dtype, stop):
    config = GemsConfig(rank=6, refresh_every=3, weight_decay=0.1, gate_lr=1e-2, **FREE)
    through, first, second = (qwen2(dtype=dtype) for _ in range(3))
    optimizer = GemsOptimizer(through, config)
    expected = [one_step(optimizer, through, step) for step in range(8)]

    optimizer = GemsOptimizer(first, config)
    for step in range(stop):
        one_step(optimizer, first, step)
    save_checkpoint(tmp_path / "c", {"weights": first.state_dict(), "optimizer": optimizer.state_dict()})

    state = load_checkpoint(tmp_path / "c")
    second.load_state_dict(state["weights"])
    optimizer = GemsOptimizer(second, config)
    optimizer.load_state_dict(state["optimizer"])
    assert [one_step(optimizer, second, step) for step in range(stop, 8)] == expected[stop:]
    assert_same(weights_of(through), weights_of(second))


def test_saved_state_of_other_settings_is_refused():
    model = qwen2()
    state = GemsOptimizer(model, GemsConfig(rank=6, **FREE)).state_dict()
    with pytest.raises(CheckpointError, match=r"q_proj \(shared\) has shape \[16, 6\], here it is \[16, 4\]"):
        GemsOptimizer(model, GemsConfig(rank=4, **FREE)).load_state_dict(state)
    with pytest.raises(CheckpointError, match="subspaces of"):
        GemsOptimizer(model, GemsConfig(rank=6, decomposition=False, **FREE)).load_state_dict(state)
    with pytest.raises(CheckpointError, match="projected layers"):
        GemsOptimizer(model, GemsConfig(rank=6, modules=("q_proj",), **FREE)).load_state_dict(state)
