"""The gradient of a projected weight is not computed where its two factors say the same in less time."""

import copy
import pickle

import pytest
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from tests.trainer.gems.small_models import PRECISE, Pair, language_loss, pair_loss, qwen2, random_null_spaces, vectors
from tests.trainer.gems.small_models import ids as token_ids
from trainer.gems import GemsConfig, GemsOptimizer
from trainer.gems.layer import projected
from trainer.gems.layer.gradient import CompleteGradient, FactoredGradient, factors_are_cheaper
from trainer.gems.layer.linear import InterceptedLinear

TASKS = (("search", 0), ("recommendation", 500))


def tuned(monkeypatch, side, *, factored, passes=1, checkpointed=False):
    """The weights of a model in float64 after some steps, in which subspaces are chosen and the gate learns."""
    monkeypatch.setattr(projected, "factors_are_cheaper", lambda *sizes: factored)
    model = qwen2(seed=3, dtype=torch.float64)
    if checkpointed:
        model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    spaces = random_null_spaces(model, side, 0.3)
    config = GemsConfig(rank=4, refresh_every=2, refresh_turns=2, lr=1e-2, gate_lr=1e-2, weight_decay=0.1, **PRECISE)
    optimizer = GemsOptimizer(model.train(), config, null_spaces=spaces)
    for step in range(6):
        for task, shift in TASKS:
            for part in range(passes):
                batch = token_ids(4 // passes, step + shift + 50 * part)
                loss = language_loss(model, batch)
                with optimizer.task(task, tokens=batch.numel(), loss=loss):
                    loss.backward()
        assert optimizer.step().applied
    optimizer.close()
    return {name: weight.detach() for name, weight in model.named_parameters()}


@pytest.mark.parametrize(("passes", "checkpointed"), [(1, False), (2, False), (1, True)])
@pytest.mark.parametrize("side", ["output", "input"])
def test_the_weights_are_those_of_complete_gradients(monkeypatch, side, passes, checkpointed):
    complete = tuned(monkeypatch, side, factored=False, passes=passes)
    factored = tuned(monkeypatch, side, factored=True, passes=passes, checkpointed=checkpointed)
    for name, weight in complete.items():
        torch.testing.assert_close(factored[name], weight, rtol=0, atol=1e-9, msg=name)


@pytest.mark.parametrize(("rows", "columns"), [(7, 12), (12, 7), (9, 9)])
def test_products_with_the_factors_are_those_with_the_gradient(rows, columns):
    draw = torch.Generator().manual_seed(0)
    short, long = sorted((rows, columns))
    short_TS, long_TL = (torch.randn(20, size, generator=draw, dtype=torch.float64) for size in (short, long))
    basis_SR, omega_LC = (torch.randn(size, 3, generator=draw, dtype=torch.float64) for size in (short, long))
    factored, complete = FactoredGradient(short_TS, long_TL), CompleteGradient(short_TS.T @ long_TL)
    torch.testing.assert_close(factored.projected(basis_SR), complete.projected(basis_SR))
    torch.testing.assert_close(factored.times(omega_LC), complete.times(omega_LC))


def test_the_way_with_fewer_multiplications_is_taken():
    assert factors_are_cheaper(1_024, 768, 3_072, 256)
    assert not factors_are_cheaper(1_024, 128, 128, 96)
    assert not factors_are_cheaper(1_024, 768, 768, 768), "subspaces as wide as the layer"


def test_no_gradient_of_a_projected_weight_is_computed(monkeypatch):
    monkeypatch.setattr(projected, "factors_are_cheaper", lambda *sizes: True)
    monkeypatch.setattr(projected, "CompleteGradient", None)
    model = Pair()
    optimizer = GemsOptimizer(model, GemsConfig(rank=2, null_space=False))
    before = model.up_proj.weight.detach().clone()
    seen = []
    model.up_proj.weight.register_hook(seen.append)
    for task, seed in TASKS:
        loss = pair_loss(model, vectors(8, seed))
        with optimizer.task(task, tokens=8, loss=loss):
            loss.backward()
        assert model.up_proj.weight.grad is None
        assert model.o_proj.bias.grad is None, "taken by its own hook"
    assert optimizer.step().applied
    assert not torch.equal(before, model.up_proj.weight)
    assert not any(gradient is not None for gradient in seen)


def test_outside_of_a_task_gradients_are_as_usual():
    plain, tuned = Pair(torch.float64), Pair(torch.float64)
    optimizer = GemsOptimizer(tuned, GemsConfig(rank=2, null_space=False))
    assert {"up_proj", "down_proj", "o_proj"} <= {name for name, own in tuned.named_modules() if "forward" in vars(own)}
    for model in (plain, tuned):
        inputs, targets = vectors(8, 1, torch.float64)
        nn.functional.mse_loss(model(inputs.requires_grad_()), targets).backward()
        model.inputs_grad = inputs.grad
    torch.testing.assert_close(tuned.inputs_grad, plain.inputs_grad)
    for (name, weight), other in zip(plain.named_parameters(), tuned.parameters(), strict=True):
        torch.testing.assert_close(other.grad, weight.grad, msg=name)
    optimizer.close()
    assert not any("forward" in vars(own) for own in tuned.modules())


def test_a_layer_that_is_used_twice_gives_both_parts():
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            torch.manual_seed(0)
            self.up_proj = nn.Linear(10, 10, bias=False, dtype=torch.float64)

        def forward(self, x):
            return self.up_proj(torch.tanh(self.up_proj(x)))

    found = []
    for possible in (True, False):
        model = Twice()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(InterceptedLinear, "possible", staticmethod(lambda module, possible=possible: possible))
            patch.setattr(projected, "factors_are_cheaper", lambda *sizes: True)
            optimizer = GemsOptimizer(model, GemsConfig(rank=2, null_space=False, **PRECISE))
        for step in range(3):
            for task, shift in TASKS:
                loss = pair_loss(model, vectors(8, step + shift, torch.float64))
                with optimizer.task(task, tokens=8, loss=loss):
                    loss.backward()
            optimizer.step()
        found.append(model.up_proj.weight.detach())
    torch.testing.assert_close(*found, rtol=0, atol=1e-10)


def test_layers_that_compute_something_else_are_left_alone():
    class Scaled(nn.Linear):
        def forward(self, inputs):
            return 2 * super().forward(inputs)

    replaced = nn.Linear(4, 4)
    replaced.forward = lambda inputs: inputs
    assert InterceptedLinear.possible(nn.Linear(4, 4))
    assert not any(map(InterceptedLinear.possible, (Scaled(4, 4), replaced, nn.LayerNorm(4))))


def test_a_checkpointed_part_of_a_model_is_computed_again_and_taken_once():
    model = Pair(torch.float64)
    optimizer = GemsOptimizer(model, GemsConfig(rank=2, null_space=False))
    taken = []
    accumulate = optimizer._accumulator._accumulate
    optimizer._accumulator._accumulate = lambda layer, *rest: (taken.append(layer.name), accumulate(layer, *rest))
    inputs, targets = vectors(8, 0, torch.float64)
    loss = nn.functional.mse_loss(checkpoint(model, inputs, use_reentrant=False), targets)
    with optimizer.task("search", tokens=8, loss=loss):
        loss.backward()
    assert sorted(taken) == ["down_proj", "o_proj", "up_proj"]


def test_a_copy_of_the_model_computes_with_its_own_weights_and_is_not_tuned():
    model = Pair()
    optimizer = GemsOptimizer(model, GemsConfig(rank=2, null_space=False))
    inputs, targets = vectors(8, 0)
    twin, loaded = copy.deepcopy(model), pickle.loads(pickle.dumps(model))  # noqa: S301
    for other in (twin, loaded):
        torch.testing.assert_close(other(inputs), model(inputs))
        with torch.no_grad():
            other.up_proj.weight.zero_()
        assert not torch.equal(other(inputs), model(inputs))
        with optimizer.task("search", tokens=8):
            pair_loss(model, (inputs, targets)).backward()
            before = optimizer._accumulator.batch.gradients
            pair_loss(other, (inputs, targets)).backward()
            assert optimizer._accumulator.batch.gradients == before
        assert all(weight.grad is not None for weight in other.parameters())
        optimizer.zero_grad()
