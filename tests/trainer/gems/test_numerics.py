"""Weights of bfloat16 with their remainders, against the same in float32."""

import pytest
import torch

from tests.trainer.gems.small_models import assert_same, one_step, qwen2, random_null_spaces
from trainer.core.errors import CheckpointError
from trainer.gems import GemsConfig, GemsOptimizer
from trainer.gems.adam import AdamSettings, PlainWeight
from trainer.gems.numerics import add_exactly_, exact_value, full_precision, make_remainder

STEPS = 200


def _values(count=20_000):
    """Of all sizes and both signs, with zero."""
    draw = torch.Generator().manual_seed(0)
    values = torch.randn(count, generator=draw) * 10 ** torch.linspace(-30, 30, count)
    return torch.cat([values, torch.zeros(1), -torch.zeros(1)])


def _is_nearest(weight, exact):
    """Of the two neighbours of a number halfway between them, either is."""
    distance, least = ((exact.double() - other.double()).abs() for other in (weight, exact.bfloat16()))
    return torch.equal(distance, least)


def test_weight_and_remainder_are_a_float32_number_rounded_to_nearest():
    values = _values()
    weight = torch.zeros_like(values, dtype=torch.bfloat16)
    remainder = make_remainder(weight)
    add_exactly_(weight, remainder, values)
    assert torch.equal(exact_value(weight, remainder), values)
    assert remainder.element_size() == 2
    assert _is_nearest(weight, values)


def test_updates_add_up_as_in_float32():
    weight = torch.randn(5000, generator=torch.Generator().manual_seed(1)).bfloat16()
    expected, remainder = weight.float(), make_remainder(weight)
    for step in range(50):
        update = 1e-5 * torch.randn(5000, generator=torch.Generator().manual_seed(step))
        expected.add_(update)
        add_exactly_(weight, remainder, update)
    assert torch.equal(exact_value(weight, remainder), expected)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_other_types_have_no_remainder(dtype):
    weight = torch.ones(3, dtype=dtype)
    assert make_remainder(weight) is None
    add_exactly_(weight, None, torch.full((3,), 0.5, dtype=dtype))
    assert torch.equal(exact_value(weight, None), torch.full((3,), 1.5, dtype=dtype))


@pytest.mark.parametrize("side", ["output", "input"])
@pytest.mark.parametrize("lr", [1e-5, pytest.param(1e-4, marks=pytest.mark.slow)])
def test_bfloat16_weights_stay_in_the_null_space_at_the_rates_of_real_runs(side, lr):
    model = qwen2(dtype=torch.bfloat16, hidden_size=32)
    spaces = random_null_spaces(model, side, 0.3)
    config = GemsConfig(rank=0.25, lr=lr, adamw_lr=lr, refresh_every=50, weight_decay=0.1)
    optimizer = GemsOptimizer(model, config, null_spaces=spaces)
    before = {layer.name: layer.exact_weight().double() for layer in optimizer._layers}
    for step in range(STEPS):
        assert one_step(optimizer, model, step % 4).applied
    for layer in optimizer._layers:
        exact = layer.exact_weight()
        assert _is_nearest(layer.weight, exact)
        change = (exact.double() - before[layer.name]).float()
        kept = spaces[layer.name].protected(change if side == "output" else change.T)
        assert change.norm() > 0
        assert kept.norm() / change.norm() <= 1e-3


@pytest.mark.parametrize("rows", [None, slice(1, 3), torch.tensor([0, 3])])
def test_a_plain_weights_small_steps_add_up(rows):
    """Of ones, whose next neighbour is a thousand steps away."""
    exact, weight = (torch.nn.Parameter(torch.ones(4, 3, dtype=dtype)) for dtype in (torch.float32, torch.bfloat16))
    for parameter in (exact, weight):
        plain = PlainWeight("norm", parameter, rows)
        for step in range(STEPS):
            parameter.grad = 1 + torch.rand(4, 3, generator=torch.Generator().manual_seed(step)).to(parameter.dtype)
            plain.accumulate(tokens=1)
            plain.update(lr=1e-4, adam=AdamSettings(), weight_decay=0.1, factor=1.0)
    trained = slice(None) if rows is None else rows
    assert exact[trained].max() < 0.981
    torch.testing.assert_close(weight.float(), exact.detach(), rtol=0, atol=2**-9 + 1e-4)


def test_a_state_of_another_type_is_refused():
    state = GemsOptimizer(qwen2(), GemsConfig(rank=4, null_space=False)).state_dict()
    other = GemsOptimizer(qwen2(dtype=torch.bfloat16), GemsConfig(rank=4, null_space=False))
    with pytest.raises(CheckpointError, match=r"q_proj was saved as float32, here it is bfloat16: resume"):
        other.load_state_dict(state)
    assert_same(other.state_dict()["steps"], 0)


def test_full_precision_is_given_back():
    before = torch.backends.cuda.matmul.fp32_precision
    torch.backends.cuda.matmul.fp32_precision = "tf32"
    try:
        with full_precision():
            assert torch.backends.cuda.matmul.fp32_precision == "ieee"
        assert torch.backends.cuda.matmul.fp32_precision == "tf32"
    finally:
        torch.backends.cuda.matmul.fp32_precision = before
