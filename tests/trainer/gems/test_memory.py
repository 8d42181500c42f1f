"""What the optimiser holds, part by part, and when."""

import pytest
import torch
from torch import nn

from tests.trainer.gems.small_models import ids, language_loss, one_step, qwen2, random_null_spaces
from trainer.gems import GemsConfig, GemsOptimizer
from trainer.gems.stats import PerTask

TWO_BYTES, FOUR_BYTES = 2, 4


def _reachable(thing, seen):
    """The storages of all tensors that can be reached from an object, by their addresses, without the weights."""
    if id(thing) in seen or isinstance(thing, nn.Parameter | nn.Module):
        return {}
    seen.add(id(thing))
    if isinstance(thing, torch.Tensor):
        return {thing.untyped_storage().data_ptr(): thing.untyped_storage().nbytes()}
    if isinstance(thing, dict):
        inside = list(thing.values())
    elif isinstance(thing, list | tuple):
        inside = list(thing)
    elif type(thing).__module__.startswith("trainer."):
        slots = [name for kind in type(thing).__mro__ for name in getattr(kind, "__slots__", ())]
        inside = [*getattr(thing, "__dict__", {}).values(), *(getattr(thing, name, None) for name in slots)]
    else:
        return {}
    found = {}
    for part in inside:
        found |= _reachable(part, seen)
    return found


def test_every_tensor_beside_the_weights_is_counted():
    model = qwen2()
    config = GemsConfig(rank=6, refresh_every=3, refresh_turns=2, lr=1e-2)
    optimizer = GemsOptimizer(model, config, null_spaces=random_null_spaces(model, "input", 0.3))
    for step in range(4):
        one_step(optimizer, model, step)
        held = _reachable([optimizer._layers, optimizer._plain], set())
        assert sum(optimizer.memory().values()) == sum(held.values())
    with optimizer.task("search", tokens=3):
        language_loss(model, ids(3, 0)).backward()
    held = _reachable([optimizer._layers, optimizer._plain], set())
    assert sum(optimizer.memory().values()) == sum(held.values())
    assert {"sketches", "projected gradients"} <= optimizer.memory().keys()


def test_between_steps_there_are_moments_and_bases_only():
    model = qwen2()
    optimizer = GemsOptimizer(model, GemsConfig(rank=4, refresh_every=100, refresh_turns=1, null_space=False))
    for step in range(3):
        one_step(optimizer, model, step)
    sizes = [sorted(layer.weight.shape) for layer in optimizer._layers]
    ranks = 4 + 2 + 2
    first = sum(ranks * long for _, long in sizes)
    second = sum(2 * ranks + 3 * (long + 1) for _, long in sizes)  # rows and their weight sums, columns, means
    memory = optimizer.memory()
    assert memory.keys() == {"moments", "bases", "other weights"}
    assert memory["moments"] == first + FOUR_BYTES * second  # of the first a byte each
    assert memory["bases"] == TWO_BYTES * sum(ranks * short for short, _ in sizes)


def test_the_layers_take_turns_to_choose():
    model = qwen2()
    config = GemsConfig(rank=4, refresh_every=6, refresh_turns=4, null_space=False, lr=1e-2)
    optimizer = GemsOptimizer(model, config)
    chosen = []
    for step in range(12):
        with optimizer.task("search", tokens=3, loss=(loss := language_loss(model, ids(3, step)))):
            loss.backward()
        sketched = [place for place, layer in enumerate(optimizer._layers) if layer.sketches]
        assert optimizer.step().refreshed == bool(sketched)
        chosen.append(sketched)
    layers = range(len(optimizer._layers))
    turns = [[place for place in layers if place % 4 == turn] for turn in range(4)]
    assert chosen == [*turns, [], [], *turns, [], []]


def test_turns_are_never_further_apart_than_refreshes():
    model = qwen2()
    optimizer = GemsOptimizer(model, GemsConfig(rank=4, refresh_every=2, refresh_turns=8, null_space=False))
    for step in range(2):
        one_step(optimizer, model, step)
    chosen = [layer["subspaces"]["shared"]["chosen_at"] for layer in optimizer.state_dict()["layers"].values()]
    assert chosen == [place % 2 for place in range(len(chosen))]


def test_projected_gradients_wait_in_few_bits_and_are_used_in_many():
    model = qwen2()
    sizes = {}
    for gradients in ("bfloat16", "float32"):
        optimizer = GemsOptimizer(model, GemsConfig(rank=4, null_space=False, lr=0, projected_gradients=gradients))
        with optimizer.task("search", tokens=3):
            language_loss(model, ids(3, 0)).backward()
        sizes[gradients] = optimizer.memory()["projected gradients"]
        for layer in optimizer._layers:
            layer.average_projected(PerTask(3, 0))
            assert layer.subspaces["shared"].projected_grad_RL.dtype == torch.float32
    assert sizes["float32"] == 2 * sizes["bfloat16"]


def test_a_sum_of_many_rounded_gradients_is_that_of_exact_ones():
    """32 micro-batches: the rounding of a sum is small beside it, and does not add up in one direction."""
    model = qwen2()
    norms = []
    for gradients in ("bfloat16", "float32"):
        optimizer = GemsOptimizer(model, GemsConfig(rank=4, null_space=False, lr=0, projected_gradients=gradients))
        for part in range(32):
            with optimizer.task("search", tokens=3):
                language_loss(model, ids(3, part)).backward()
        norms.append(optimizer.step().grad_norm)
    assert norms[0] == pytest.approx(norms[1], rel=5e-3)
