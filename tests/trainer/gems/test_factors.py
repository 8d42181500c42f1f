"""The gradient of a projected weight is not computed where its two factors say the same in less time."""

import copy
import gc
import pickle
import weakref

import pytest
import torch
from torch import nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.tensor import distribute_tensor
from torch.utils.checkpoint import checkpoint

from tests.trainer.gems.small_models import (
    PRECISE,
    Pair,
    ids,
    language_loss,
    one_step,
    pair_loss,
    qwen2,
    random_null_spaces,
    vectors,
)
from trainer.core.errors import BackboneError, OptimizerUseError
from trainer.gems import GemsConfig, GemsOptimizer
from trainer.gems.layer import projected
from trainer.gems.layer.gradient import CompleteGradient, FactoredGradient, factors_are_cheaper
from trainer.gems.layer.linear import InterceptedLinear

TASKS = (("search", 0), ("recommendation", 500))


@pytest.fixture
def single_process_mesh():
    torch.distributed.init_process_group("gloo", store=torch.distributed.HashStore(), rank=0, world_size=1)
    try:
        yield init_device_mesh("cpu", (1,))
    finally:
        torch.distributed.destroy_process_group()


def tuned(monkeypatch, side, *, intercepted, passes=1, checkpointed=False):
    """The weights of a model in float64 after some steps, in which subspaces are chosen and the gate learns."""
    monkeypatch.setattr(projected, "factors_are_cheaper", lambda *sizes: True)
    model = qwen2(seed=3, dtype=torch.float64)
    if checkpointed:
        model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    spaces = random_null_spaces(model, side, 0.3)
    config = GemsConfig(rank=4, refresh_every=2, refresh_turns=2, lr=1e-2, gate_lr=1e-2, weight_decay=0.1, **PRECISE)
    with pytest.MonkeyPatch.context() as patch:
        if not intercepted:
            patch.setattr(InterceptedLinear, "possible", staticmethod(lambda module: False))
        optimizer = GemsOptimizer(model.train(), config, null_spaces=spaces)
    for step in range(6):
        for task, shift in TASKS:
            for part in range(passes):
                batch = ids(4 // passes, step + shift + 50 * part)
                loss = language_loss(model, batch)
                with optimizer.task(task, tokens=batch.numel(), loss=loss):
                    loss.backward()
        assert optimizer.step().applied
    optimizer.close()
    return {name: weight.detach() for name, weight in model.named_parameters()}


@pytest.mark.parametrize(("passes", "checkpointed"), [(1, False), (2, False), (1, True)])
@pytest.mark.parametrize("side", ["output", "input"])
def test_the_weights_are_those_of_autograds_gradients(monkeypatch, side, passes, checkpointed):
    computed = tuned(monkeypatch, side, intercepted=False, passes=passes)
    factored = tuned(monkeypatch, side, intercepted=True, passes=passes, checkpointed=checkpointed)
    for name, weight in computed.items():
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
    monkeypatch.setattr(projected, "CompleteGradient", None)  # whoever makes one fails
    model = Pair()
    optimizer = GemsOptimizer(model, GemsConfig(rank=2, null_space=False))
    before = model.up_proj.weight.detach().clone()
    for task, seed in TASKS:
        loss = pair_loss(model, vectors(8, seed))
        with optimizer.task(task, tokens=8, loss=loss):
            loss.backward()
        assert all(weight.grad is None for weight in model.parameters())
    assert optimizer.step().applied
    assert not torch.equal(before, model.up_proj.weight)


def test_outside_of_a_task_gradients_are_as_usual():
    plain, tuned = Pair(torch.float64), Pair(torch.float64)
    optimizer = GemsOptimizer(tuned, GemsConfig(rank=2, null_space=False))
    found = []
    for model in (plain, tuned):
        inputs, targets = vectors(8, 1, torch.float64)
        loss = pair_loss(model, (inputs.requires_grad_(), targets))
        [first] = torch.autograd.grad(loss, inputs, create_graph=True)
        first.square().sum().backward()  # through the backward pass itself
        found.append((loss, first, inputs.grad, *(weight.grad for weight in model.parameters())))
        assert model.o_proj(input=inputs).shape == inputs.shape
    torch.testing.assert_close(*found)
    weights = dict(tuned.named_parameters())
    by_function = torch.func.grad(lambda own: torch.func.functional_call(tuned, own, (inputs,)).sum())(weights)
    tuned.zero_grad()
    tuned(inputs).sum().backward()
    for name, gradient in by_function.items():
        torch.testing.assert_close(gradient, weights[name].grad, msg=name)
    torch.testing.assert_close(torch.func.vmap(tuned)(inputs), tuned(inputs))
    assert any(type(own) is not nn.Linear for own in tuned.children())
    optimizer.close()
    assert all(type(own) is nn.Linear for own in tuned.children())


def test_mixed_precision_is_as_usual():
    found = []
    for intercepted in (False, True):
        model, (inputs, targets) = Pair(), vectors(8, 0)
        optimizer = GemsOptimizer(model, GemsConfig(rank=2, null_space=False)) if intercepted else None
        with torch.autocast("cpu", dtype=torch.bfloat16):
            loss = pair_loss(model, (inputs, targets))
        loss.backward()
        found.append([weight.grad for weight in model.parameters()])
        if optimizer is not None:
            model.zero_grad()
            with torch.autocast("cpu", dtype=torch.bfloat16):
                loss = pair_loss(model, (inputs, targets))
            with optimizer.task("search", tokens=8, loss=loss):
                loss.backward()
            assert optimizer.step().applied
    torch.testing.assert_close(*found)


def test_hooks_of_others_get_the_gradient_and_may_change_it():
    model = Pair()
    optimizer = GemsOptimizer(model, GemsConfig(rank=2, null_space=False))
    before, seen = model.up_proj.weight.detach().clone(), []
    model.up_proj.weight.register_hook(torch.zeros_like)
    model.down_proj.weight.register_post_accumulate_grad_hook(lambda weight: seen.append(weight.grad))
    assert one_step(optimizer, model, 0).applied
    assert torch.equal(model.up_proj.weight, before)
    assert len(seen) == 2


def test_another_weight_in_the_place_of_the_tuned_one_is_not_taken_for_it():
    model = Pair()
    optimizer = GemsOptimizer(model, GemsConfig(rank=2, null_space=False))
    model.load_state_dict({name: weight.clone() for name, weight in model.state_dict().items()}, assign=True)
    loss = pair_loss(model, vectors(8, 0))
    with pytest.raises(OptimizerUseError, match="no gradient arrived"), optimizer.task("search", tokens=8, loss=loss):
        loss.backward()


def test_two_layers_with_one_weight_are_refused():
    model = Pair()
    model.o_proj.weight = nn.Parameter(model.o_proj.weight[:, :10].detach().clone())
    model.q_proj = nn.Linear(10, 10)
    model.q_proj.weight = model.o_proj.weight
    with pytest.raises(BackboneError, match="o_proj and q_proj have one weight"):
        GemsOptimizer(model, GemsConfig(rank=2, null_space=False))


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


def test_what_is_no_linear_layer_of_torchs_is_left_alone(single_process_mesh):
    class Scaled(nn.Linear):
        def forward(self, inputs):
            return 2 * super().forward(inputs)

    sharded = nn.Linear(4, 4)
    sharded.weight = nn.Parameter(distribute_tensor(sharded.weight.detach(), single_process_mesh))
    assert InterceptedLinear.possible(nn.Linear(4, 4))
    assert not any(map(InterceptedLinear.possible, (Scaled(4, 4), sharded, nn.LayerNorm(4))))


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


def test_a_copy_of_the_model_computes_with_its_own_weights_and_can_be_tuned_itself():
    model = Pair()
    optimizer = GemsOptimizer(model, GemsConfig(rank=2, null_space=False))
    inputs, targets = vectors(8, 0)
    shallow = copy.copy(model)
    shallow._modules = {name: copy.copy(own) for name, own in model.named_children()}
    for own in shallow._modules.values():
        own._parameters = copy.deepcopy(own._parameters)
    for other in (copy.deepcopy(model), pickle.loads(pickle.dumps(model)), shallow):  # noqa: S301
        torch.testing.assert_close(other(inputs), model(inputs))
        assert InterceptedLinear.possible(other.up_proj)
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
    kept = weakref.ref(model.up_proj)
    twin = copy.deepcopy(model)
    optimizer.close()
    del model, optimizer, other, shallow, own
    gc.collect()
    assert kept() is None
    assert twin(inputs).shape == targets.shape
