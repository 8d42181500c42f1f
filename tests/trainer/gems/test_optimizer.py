"""GemsOptimizer as its users see it: gradients in, weights out."""

import pytest
import torch
from torch import nn

from tests.trainer.gems.small_models import (
    Pair,
    assert_same,
    copied,
    ids,
    language_loss,
    one_step,
    pair_loss,
    qwen2,
    random_null_spaces,
    vectors,
    weights_of,
)
from trainer.core.errors import OptimizerUseError, SettingsError
from trainer.gems import GemsConfig, GemsOptimizer
from trainer.gems.accumulate import present_accumulators


def accumulators(optimizer):
    return present_accumulators([*optimizer._layers, *optimizer._plain])


FREE = {"null_space": False, "lr": 1e-2, "adamw_lr": 1e-2, "vocabulary_rows": "all"}


def test_two_passes_give_the_gradient_of_the_whole_batch():
    parts, whole = Pair(torch.float64), Pair(torch.float64)
    config = GemsConfig(rank=1.0, decomposition=False, **FREE)
    task_batches = vectors(3, 1, torch.float64), vectors(5, 2, torch.float64)
    of_parts, of_whole = GemsOptimizer(parts, config), GemsOptimizer(whole, config)
    for _ in range(3):
        for task, task_batch in zip(("search", "recommendation"), task_batches, strict=True):
            with of_parts.task(task, tokens=len(task_batch[0])):
                pair_loss(parts, task_batch).backward()
        both = tuple(torch.cat(tensors) for tensors in zip(*task_batches, strict=True))
        with of_whole.task("search", tokens=8):
            pair_loss(whole, both).backward()
        of_parts.step(), of_whole.step()
    for name, weight in parts.named_parameters():
        torch.testing.assert_close(weight, whole.get_parameter(name), rtol=0, atol=1e-10)


def test_accumulated_micro_batches_equal_one_big_batch():
    big, small = Pair(torch.float64), Pair(torch.float64)
    config = GemsConfig(rank=6, refresh_every=2, weight_decay=0.1, **FREE)
    optimizers = GemsOptimizer(big, config), GemsOptimizer(small, config)
    for step in range(5):
        for task, shift in (("search", 0), ("recommendation", 50)):
            inputs, targets = vectors(6, step + shift, torch.float64)
            with optimizers[0].task(task, tokens=6, loss=(loss := pair_loss(big, (inputs, targets)))):
                loss.backward()
            for part in (slice(0, 1), slice(1, 4), slice(4, 6)):
                loss, rows = pair_loss(small, (inputs[part], targets[part])), part.stop - part.start
                with optimizers[1].task(task, tokens=rows, loss=loss):
                    loss.backward()
        first, second = optimizers[0].step(), optimizers[1].step()
        assert first.grad_norms.search == pytest.approx(second.grad_norms.search, rel=1e-9)
        assert first.losses.recommendation == pytest.approx(second.losses.recommendation, rel=1e-9)
        if step:
            assert first.hypergradient.search == pytest.approx(second.hypergradient.search, rel=1e-6)
    for name, weight in big.named_parameters():
        torch.testing.assert_close(weight, small.get_parameter(name), rtol=0, atol=1e-9)


def test_full_rank_without_null_space_and_one_task_is_adam_in_a_rotated_basis():
    torch.manual_seed(0)
    wide = nn.Sequential()
    wide.add_module("q_proj", nn.Linear(9, 5, bias=False, dtype=torch.float64))
    config = GemsConfig(rank=5, decomposition=False, refresh_every=10**6, null_space=False, lr=3e-2)
    optimizer = GemsOptimizer(wide, config)
    basis = copied(optimizer.state_dict()["layers"]["q_proj"]["subspaces"]["shared"]["basis"])
    torch.testing.assert_close(basis.T @ basis, torch.eye(5, dtype=torch.float64))
    rotated = (basis.T @ wide.q_proj.weight.detach()).requires_grad_()
    adam = torch.optim.Adam([rotated], lr=3e-2)
    for step in range(20):
        if step == 1:  # the first step's gradient has chosen another basis: Adam goes on in that one
            basis = _follow(optimizer, rotated, adam, basis)
        draw = torch.Generator().manual_seed(step)
        x, y = (torch.randn(7, n, generator=draw, dtype=torch.float64) for n in (9, 5))
        with optimizer.task("recommendation", tokens=7):
            nn.functional.mse_loss(wide(x), y).backward()
        optimizer.step()
        nn.functional.mse_loss(x @ (basis @ rotated).T, y).backward()
        adam.step()
        adam.zero_grad()
        torch.testing.assert_close(wide.q_proj.weight.detach(), (basis @ rotated).detach(), rtol=0, atol=1e-12)


def _follow(optimizer, rotated, adam, basis):
    """Turns the reference's parameter and moments into the optimiser's next basis, as Moments.rotate documents it."""
    chosen = copied(optimizer.state_dict()["layers"]["q_proj"]["subspaces"]["shared"]["next_basis"])
    turn = chosen.T @ basis
    rotated.data = turn @ rotated.data
    moments = adam.state[rotated]
    moments["exp_avg"] = turn @ moments["exp_avg"]
    moments["exp_avg_sq"] = turn.square() @ moments["exp_avg_sq"]
    return chosen


def test_a_batch_of_one_task_leaves_the_other_tasks_subspace_alone():
    model = qwen2()
    optimizer = GemsOptimizer(model, GemsConfig(rank=6, refresh_every=2, **FREE))
    one_step(optimizer, model, 0)
    one_step(optimizer, model, 1)
    before = copied(optimizer.state_dict()["layers"])
    stats = one_step(optimizer, model, 2, rows=(4, 0))
    assert stats.applied
    assert stats.tokens.recommendation == 0
    for name, layer in optimizer.state_dict()["layers"].items():
        old, new = before[name]["subspaces"], layer["subspaces"]
        assert_same(old["recommendation"]["moments"], new["recommendation"]["moments"])
        assert not torch.equal(old["search"]["moments"]["code"], new["search"]["moments"]["code"])
    assert one_step(optimizer, model, 3, rows=(0, 4)).applied
    assert one_step(optimizer, model, 4).applied


def test_a_task_missing_at_first_gets_its_subspace_when_it_comes():
    model = Pair()
    optimizer = GemsOptimizer(model, GemsConfig(rank=4, refresh_every=100, refresh_turns=1, **FREE))
    one_step(optimizer, model, 0, rows=(4, 0))
    chosen = [layer["subspaces"]["recommendation"]["chosen_at"] for layer in optimizer.state_dict()["layers"].values()]
    assert chosen == [None] * 3
    assert one_step(optimizer, model, 1, rows=(4, 4)).refreshed
    layers = [layer["subspaces"] for layer in optimizer.state_dict()["layers"].values()]
    assert [layer["recommendation"]["chosen_at"] for layer in layers] == [1] * 3
    assert [layer["search"]["chosen_at"] for layer in layers] == [0] * 3


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("rows", ["none", 40, (3, 41)])
def test_frozen_vocabulary_rows_get_neither_update_nor_decay(rows, tied):
    model = qwen2(tie_word_embeddings=tied)
    before = weights_of(model)
    config = GemsConfig(rank=4, null_space=False, vocabulary_rows=rows, weight_decay=0.5, adamw_lr=1e-2)
    optimizer = GemsOptimizer(model, config)
    for step in range(3):
        one_step(optimizer, model, step)
    moving = torch.zeros(48, dtype=torch.bool)
    moving[list({"none": [], 40: range(40, 48)}.get(rows, rows))] = True
    for name in ("model.embed_tokens.weight",) if tied else ("model.embed_tokens.weight", "lm_head.weight"):
        weight = model.get_parameter(name)
        assert torch.equal(weight[~moving], before[name][~moving])
        assert bool((weight[moving] != before[name][moving]).any(1).all())


@pytest.mark.parametrize("fault", ["loss", "gradient"])
def test_a_step_that_is_not_finite_leaves_no_trace(fault):
    sound, hit = qwen2(), qwen2()
    config = GemsConfig(rank=6, refresh_every=2, **FREE)
    optimizers = GemsOptimizer(sound, config), GemsOptimizer(hit, config)
    for step in range(5):
        one_step(optimizers[0], sound, step)
        weights, state = weights_of(hit), copied(optimizers[1].state_dict())
        loss = language_loss(hit, ids(3, 99))
        given = torch.tensor(torch.inf) if fault == "loss" else loss
        with optimizers[1].task("search", tokens=3, loss=given):
            (loss * (torch.nan if fault == "gradient" else 1)).backward()
        stats = optimizers[1].step()
        assert not stats.applied
        assert stats.update_norm == 0
        assert_same(weights, weights_of(hit))
        assert_same(state, optimizers[1].state_dict())
        one_step(optimizers[1], hit, step)
    assert_same(weights_of(sound), weights_of(hit))


def test_gradient_checkpointing_changes_nothing():
    plain, checkpointed = qwen2(), qwen2()
    checkpointed.gradient_checkpointing_enable({"use_reentrant": False})
    checkpointed.train(), plain.train()
    for model in (plain, checkpointed):
        optimizer = GemsOptimizer(model, GemsConfig(rank=6, refresh_every=2, **FREE))
        for step in range(4):
            one_step(optimizer, model, step)
    for name, weight in plain.named_parameters():
        torch.testing.assert_close(weight, checkpointed.get_parameter(name), rtol=0, atol=1e-6)


def test_learning_rate_schedulers_drive_the_groups():
    model = Pair()
    optimizer = GemsOptimizer(model, GemsConfig(rank=4, **FREE))
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 0.0 if step else 1.0)
    one_step(optimizer, model, 0)
    schedule.step()
    before = weights_of(model)
    assert one_step(optimizer, model, 1).applied
    assert_same(before, weights_of(model))


def test_no_gradient_outlives_its_backward_pass():
    model = qwen2()
    optimizer = GemsOptimizer(
        model, GemsConfig(rank=4, oversampling=4, null_space=False, modules=("q_proj", "up_proj"))
    )
    for weight in set(model.parameters()) - {layer.weight for layer in optimizer._layers}:
        weight.requires_grad_(False)
    with optimizer.task("search", tokens=3):
        language_loss(model, ids(3, 0)).backward()
    assert all(weight.grad is None for weight in model.parameters())
    assert all(min(tensor.shape) < 16 for tensor in accumulators(optimizer))
    optimizer.zero_grad()
    assert accumulators(optimizer) == []


def test_clipping_scales_the_gradient_that_the_moments_see():
    clipped, scaled = Pair(torch.float64), Pair(torch.float64)
    free = FREE | {"decomposition": False, "rank": 10}
    first = GemsOptimizer(clipped, GemsConfig(max_grad_norm=1e-3, **free))
    second = GemsOptimizer(scaled, GemsConfig(**free))
    batch = vectors(4, 0, torch.float64)
    with first.task("search", tokens=4):
        pair_loss(clipped, batch).backward()
    norm = first.step().grad_norm
    assert norm > 1e-3
    with second.task("search", tokens=4):
        (pair_loss(scaled, batch) * (1e-3 / norm)).backward()
    second.step()
    for one, other in zip(first.state_dict()["layers"].values(), second.state_dict()["layers"].values(), strict=True):
        own, others = (layer["subspaces"]["shared"]["moments"]["second"] for layer in (one, other))
        torch.testing.assert_close(own, others)


def test_without_decomposition_there_is_one_subspace_and_no_gate():
    model = Pair()
    optimizer = GemsOptimizer(model, GemsConfig(rank=4, decomposition=False, **FREE))
    stats = [one_step(optimizer, model, step) for step in range(2)][-1]
    assert (stats.gates.shared, stats.gates.search, stats.gates.recommendation) == (1, 0, 0)
    assert stats.grad_norms is None
    assert stats.hypergradient is None
    assert all(list(layer["subspaces"]) == ["shared"] for layer in optimizer.state_dict()["layers"].values())


def test_gradients_outside_of_a_task_are_left_to_their_owner():
    model = Pair()
    optimizer = GemsOptimizer(model, GemsConfig(rank=4, **FREE))
    pair_loss(model, vectors(2, 0)).backward()
    assert model.up_proj.weight.grad is not None
    with (
        pytest.raises(OptimizerUseError, match=r"up_proj has a gradient from outside"),
        optimizer.task("search", tokens=2),
    ):
        pass
    optimizer.zero_grad()
    assert one_step(optimizer, model, 0).applied
    optimizer.close()
    pair_loss(model, vectors(2, 0)).backward()
    assert model.up_proj.weight.grad is not None


def test_an_error_inside_a_task_drops_the_unfinished_batch():
    model = Pair()
    optimizer = GemsOptimizer(model, GemsConfig(rank=4, **FREE))
    handle = model.up_proj.weight.register_hook(lambda grad: 1 / 0)  # the other layers' gradients have been taken
    with pytest.raises(ZeroDivisionError), optimizer.task("search", tokens=2):
        pair_loss(model, vectors(2, 0)).backward()
    handle.remove()
    assert accumulators(optimizer) == []
    assert one_step(optimizer, model, 0).applied


def test_calls_without_meaning_are_refused():
    model = Pair()
    optimizer = GemsOptimizer(model, GemsConfig(rank=4, **FREE))
    with pytest.raises(OptimizerUseError, match="without gradients"):
        optimizer.step()
    with pytest.raises(OptimizerUseError, match="no gradient arrived"), optimizer.task("search", tokens=1):
        pass
    with pytest.raises(OptimizerUseError, match="tokens=0"), optimizer.task("search", tokens=0):
        pass
    with pytest.raises(OptimizerUseError, match="no task 'searching'"), optimizer.task("searching", tokens=1):
        pass
    with (
        pytest.raises(OptimizerUseError, match=r"inside task\(.search"),
        optimizer.task("search", tokens=1),
        optimizer.task("recommendation", tokens=1),
    ):
        pass
    with pytest.raises(OptimizerUseError, match="closure"):
        optimizer.step(lambda: 0.0)
    with optimizer.task("search", tokens=2):
        pair_loss(model, vectors(2, 0)).backward()
    with pytest.raises(OptimizerUseError, match="middle of a batch"):
        optimizer.state_dict()


def test_a_missing_null_space_is_named():
    model = Pair()
    with pytest.raises(SettingsError, match="no null space for up_proj"):
        GemsOptimizer(model, GemsConfig(rank=4))
    spaces = random_null_spaces(model, "output", 0.3)
    del spaces["o_proj"]
    with pytest.raises(SettingsError, match=r"no null space for o_proj \(1 of 3"):
        GemsOptimizer(model, GemsConfig(rank=4), null_spaces=spaces)
