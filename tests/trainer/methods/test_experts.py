import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from peft import LoraConfig, get_peft_model
from torch import nn

from trainer.methods.experts import LoraExperts


def layer(experts=4, rank=2, *, alpha=6.0, dropout=0.0, dtype=torch.float32, seed=0):
    draw = torch.Generator().manual_seed(seed)
    base = nn.Linear(8, 5).to(dtype)
    made = LoraExperts(base, experts=experts, rank=rank, alpha=alpha, dropout=dropout, generator=draw)
    with torch.no_grad():
        for weight in made.adapters():
            weight.normal_(generator=draw)
    return made


@given(seed=st.integers(0, 1000), experts=st.integers(2, 6), size=st.floats(0.01, 100))
def test_shares_are_a_distribution_over_the_experts(seed, experts, size):
    made = layer(experts, seed=seed)
    shares = made.routing(size * torch.randn(3, 7, 8, generator=torch.Generator().manual_seed(seed)))
    assert shares.shape == (3, 7, experts)
    assert (shares >= 0).all()
    torch.testing.assert_close(shares.sum(-1), torch.ones(3, 7))


def test_identical_experts_are_one_lora_adapter_of_pefts():
    made = layer(experts=3, rank=2, alpha=6.0)
    with torch.no_grad():
        made.down_KI.copy_(made.down_KI[:2].repeat(3, 1))
        made.up_OK.copy_(made.up_OK[:, :2].repeat(1, 3))
    oracle = get_peft_model(nn.Sequential(made.base), LoraConfig(r=2, lora_alpha=6, target_modules=["0"]))
    with torch.no_grad():
        oracle.get_submodule("base_model.model.0.lora_A.default").weight.copy_(made.down_KI[:2])
        oracle.get_submodule("base_model.model.0.lora_B.default").weight.copy_(made.up_OK[:, :2])
    inputs = torch.randn(4, 6, 8)
    torch.testing.assert_close(made(inputs), oracle(inputs))


def test_a_token_sure_of_an_expert_gets_that_experts_product_alone():
    made = layer(experts=3, rank=2, alpha=6.0)
    inputs = torch.randn(1, 8)
    with torch.no_grad():
        made.router_EI.zero_()
        made.router_EI[1] = 1000 * inputs[0]
    expected = made.base(inputs) + 3.0 * inputs @ made.down_KI[2:4].T @ made.up_OK[:, 2:4].T
    torch.testing.assert_close(made(inputs), expected)


def test_the_mixture_is_the_weighted_sum_of_the_experts():
    made = layer(experts=4, rank=3, alpha=3.0)
    inputs = torch.randn(9, 8)
    expected = made.base(inputs)
    for expert in range(4):
        rows = slice(3 * expert, 3 * expert + 3)
        share = torch.softmax(inputs @ made.router_EI.T, -1)[:, expert, None]
        expected = expected + share * (inputs @ made.down_KI[rows].T @ made.up_OK[:, rows].T)
    torch.testing.assert_close(made(inputs), expected)


def test_it_starts_as_the_layer_it_wraps():
    base = nn.Linear(8, 5)
    made = LoraExperts(base, experts=4, rank=2, alpha=8, dropout=0.5, generator=torch.Generator())
    inputs = torch.randn(3, 8)
    assert torch.equal(made(inputs), base(inputs))
    torch.testing.assert_close(made.routing(inputs), torch.full((3, 4), 0.25))


def test_dropout_acts_in_training_only():
    made = layer(dropout=0.5)
    inputs = torch.randn(3, 8)
    assert not torch.equal(made(inputs), made(inputs))
    made.eval()
    assert torch.equal(made(inputs), made(inputs))


def test_a_bfloat16_layer_keeps_its_type_and_float32_experts():
    made = layer(dtype=torch.bfloat16)
    assert made(torch.randn(3, 8, dtype=torch.bfloat16)).dtype == torch.bfloat16
    assert {weight.dtype for weight in made.adapters()} == {torch.float32}


@pytest.mark.parametrize("name", ["down_KI", "up_OK", "router_EI"])
def test_every_part_learns(name):
    made = layer()
    made(torch.randn(3, 8)).square().sum().backward()
    assert getattr(made, name).grad.abs().max() > 0
