"""What is added to a weight lies in its null space, whatever the side, the orientation and the weight decay."""

import pytest
import torch

from catalog.text.prompts import TASKS
from tests.trainer.gems.small_models import Pair, ids, one_step, qwen2, random_null_spaces, weights_of
from trainer.gems import Energy, GemsConfig, GemsOptimizer, NullSpace, estimate_null_spaces


@pytest.mark.parametrize("decay", [0.0, 0.5])
@pytest.mark.parametrize("protected", [0.3, 0.7])
@pytest.mark.parametrize("side", ["output", "input"])
def test_every_update_stays_in_the_null_space(side, protected, decay):
    model = Pair()
    spaces = random_null_spaces(model, side, protected)
    config = GemsConfig(rank=3, refresh_every=2, weight_decay=decay, lr=1e-2, gate="heuristic")
    optimizer = GemsOptimizer(model, config, null_spaces=spaces)
    for step in range(6):
        before = weights_of(model)
        assert one_step(optimizer, model, step).applied
        for name, space in spaces.items():
            change = (model.get_submodule(name).weight.detach().double() - before[f"{name}.weight"].double()).float()
            kept = space.protected(change if side == "output" else change.T)
            assert change.norm() > 1e-3
            assert kept.norm() / change.norm() <= 1e-5


def test_weight_decay_shrinks_only_what_may_move():
    model = Pair(torch.float64)
    spaces = random_null_spaces(model, "output", 0.3)
    before = weights_of(model)
    optimizer = GemsOptimizer(model, GemsConfig(rank=2, lr=1e-12, weight_decay=1e11), null_spaces=spaces)
    one_step(optimizer, model, 0)
    for name, space in spaces.items():
        double = space.to(torch.device("cpu"), torch.float64)
        old, new = before[f"{name}.weight"], model.get_submodule(name).weight.detach()
        torch.testing.assert_close(double.protected(new), double.protected(old), rtol=0, atol=1e-6)
        torch.testing.assert_close(double.project_(new.clone()), 0.9 * double.project_(old.clone()), rtol=0, atol=1e-6)


def _overlaps(optimizer, atol=1e-5):
    """For every layer and task, the cosine of the smallest angle between its next basis and the shared one."""
    found = {}
    for layer in optimizer._layers:
        shared = layer.subspaces["shared"].projection_basis_SR
        for task in TASKS:
            basis = layer.subspaces[task].projection_basis_SR
            torch.testing.assert_close(basis.T @ basis, torch.eye(basis.shape[1]), atol=atol, rtol=0)
            found[layer.name, task] = torch.linalg.matrix_norm(shared.T @ basis, 2).item()
    return found


@pytest.mark.parametrize(("bases", "atol"), [("float32", 1e-5), ("bfloat16", 1e-2)])
@pytest.mark.parametrize("side", [None, "output", "input"])
def test_the_tasks_bases_are_orthogonal_to_the_shared_one_at_every_step(side, bases, atol):
    """Also where a task is not in the batch from which the shared basis is chosen."""
    model = Pair()
    spaces = None if side is None else random_null_spaces(model, side, 0.3)
    config = GemsConfig(rank=3, task_rank=2, refresh_every=3, lr=1e-2, bases=bases, null_space=side is not None)
    optimizer = GemsOptimizer(model, config, null_spaces=spaces)
    assert max(_overlaps(optimizer, atol).values()) <= atol
    for step in range(12):
        rows = {0: (4, 0), 6: (0, 4), 9: (4, 0)}.get(step, (3, 5))
        assert one_step(optimizer, model, step, rows=rows).applied
        assert max(_overlaps(optimizer, atol).values()) <= atol


def test_subspaces_that_are_not_complementary_share_most_directions():
    """What the setting is for: both tasks' gradients are large in the same directions."""
    model = qwen2(hidden_size=32)
    optimizer = GemsOptimizer(
        model, GemsConfig(rank=8, complementary=False, null_space=False, refresh_turns=1, bases="float32")
    )
    one_step(optimizer, model, 0, rows=(16, 16))
    overlaps = list(_overlaps(optimizer).values())
    assert sum(overlaps) / len(overlaps) > 0.9


def test_a_layer_without_room_beside_the_shared_subspace_has_no_other():
    model = Pair()
    optimizer = GemsOptimizer(model, GemsConfig(rank=10, null_space=False, lr=1e-2))
    assert [list(layer.subspaces) for layer in optimizer._layers] == [["shared"]] * 3
    assert all(one_step(optimizer, model, step).applied for step in range(3))
    optimizer = GemsOptimizer(model, GemsConfig(rank=8, null_space=False))
    assert [layer.subspaces["search"].rank for layer in optimizer._layers] == [2] * 3


def _leak(optimizer, model, spaces):
    """The largest share of an update that lies in the protected space, over six steps with refreshes."""
    largest = 0.0
    for step in range(6):
        before = weights_of(model)
        assert one_step(optimizer, model, step).applied
        for name, space in spaces.items():
            change = (model.get_submodule(name).weight.detach().double() - before[f"{name}.weight"].double()).float()
            kept = space.protected(change if space.side == "output" else change.T)
            largest = max(largest, (kept.norm() / change.norm()).item())
    return largest


@pytest.mark.parametrize("spans", ["protected", "free"])
@pytest.mark.parametrize("side", ["output", "input"])
@pytest.mark.parametrize("factors", ["bfloat16", "float32"])
def test_what_is_protected_is_the_span_of_the_factor_that_is_kept(factors, side, spans):
    """Of a rounded factor exactly its own span, and the estimated one to the rounding of a bfloat16."""
    model = Pair()
    spaces = {}
    for name, space in random_null_spaces(model, side, 0.3 if spans == "protected" else 0.7).items():
        spaces[name] = NullSpace(side, spans, torch.linalg.qr(space.factor_WK.float())[0])  # float32 again
    config = GemsConfig(rank=3, refresh_every=2, weight_decay=0.5, lr=1e-2, null_factors=factors)
    leaks = []
    for measured in (spaces, {name: space.rounded() for name, space in spaces.items()}):
        model = Pair()
        leaks.append(_leak(GemsOptimizer(model, config, null_spaces=spaces), model, measured))
    given, rounded = leaks
    if factors == "float32":
        assert given <= 1e-5
    else:
        assert rounded <= 1e-5
        assert 1e-5 < given < 5e-3


def test_layers_that_read_one_input_share_its_null_space():
    model = qwen2()
    batches = [{"input_ids": ids(16, seed)} for seed in range(2)]
    inputs, outputs = (
        GemsOptimizer(model, GemsConfig(rank=2), null_spaces=spaces)
        for spaces in (
            estimate_null_spaces(model, batches, side=side, threshold=Energy(0.5)) for side in ("input", "output")
        )
    )
    kept = {layer.name: layer._null_space.space for layer in inputs._layers}
    for block in ("model.layers.0.", "model.layers.1."):
        query, key, value = (kept[f"{block}self_attn.{part}_proj"] for part in "qkv")
        assert query is key is value
        assert kept[f"{block}mlp.gate_proj"] is kept[f"{block}mlp.up_proj"]
    assert len({id(space) for space in kept.values()}) == 2 * 4  # beside these, o_proj's and down_proj's
    assert len({id(layer._null_space.space) for layer in outputs._layers}) == len(outputs._layers)
    for layer in inputs._layers:
        spaces = [subspace.null_space for subspace in layer.subspaces.values()]
        assert all(space is None or space is layer._null_space.space for space in spaces)
