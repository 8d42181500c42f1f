"""Rounding of updates into weights of fewer digits."""

import pytest
import torch

from tests.trainer.gems.small_models import Pair, one_step
from trainer.gems import GemsConfig, GemsOptimizer
from trainer.gems.numerics import add_rounded_, full_precision


def test_rounding_is_right_on_average():
    update = torch.full((200_000,), 1e-3)
    for start in (1.0, -1.0, 100.0):
        weight = torch.full_like(update, start, dtype=torch.bfloat16)
        add_rounded_(weight, update, seed=0, name="w", step=0)
        assert len(weight.unique()) == 2  # the neighbours
        error = abs((weight.double() - start).mean().item() - 1e-3)
        assert error < 0.03e-3 * max(1, abs(start))


def test_what_can_be_written_exactly_is():
    weight = torch.randn(1000, generator=torch.Generator().manual_seed(0)).bfloat16()
    before = weight.clone()
    add_rounded_(weight, torch.zeros(1000), seed=0, name="w", step=0)
    assert torch.equal(weight, before)
    add_rounded_(weight, -before.float(), seed=0, name="w", step=0)
    assert weight.count_nonzero() == 0


def test_updates_far_below_bfloat16s_steps_add_up():
    model = Pair(torch.bfloat16)
    with torch.no_grad():
        model.up_proj.weight.fill_(4.0)  # steps of 1/32, a thousand times the update
    optimizer = GemsOptimizer(model, GemsConfig(rank=4, null_space=False, lr=1e-12, weight_decay=1e7))
    for step in range(40):
        one_step(optimizer, model, step)
    expected = 4 * (1 - 1e-5) ** 40
    assert model.up_proj.weight.double().mean().item() == pytest.approx(expected, abs=1e-3)
    assert model.up_proj.weight.dtype == torch.bfloat16


def test_full_precision_is_given_back():
    before = torch.backends.cuda.matmul.fp32_precision
    torch.backends.cuda.matmul.fp32_precision = "tf32"
    try:
        with full_precision():
            assert torch.backends.cuda.matmul.fp32_precision == "ieee"
        assert torch.backends.cuda.matmul.fp32_precision == "tf32"
    finally:
        torch.backends.cuda.matmul.fp32_precision = before
