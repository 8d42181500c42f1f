import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn.functional import cosine_similarity

from catalog.text.prompts import TASKS
from trainer.analysis import conflict as module
from trainer.analysis.conflict import conflict, main
from trainer.analysis.task_gradients import TaskSubspaces, cosine, task_gradients
from trainer.analysis.training_setup import load_training_setup
from trainer.data.batches import task_loss
from trainer.gems import GemsConfig, NullSpace
from trainer.gems.parameters import projected_modules
from trainer.gems.subspace import FILL

SHARES = {"search": 0.3, "recommendation": 0.7}


@pytest.fixture(scope="module")
def setup(bundles, files):
    return load_training_setup(bundles["gems"].path, [files[1]])


def gradients(rows, columns, rank, seed=0):
    draw = torch.Generator().manual_seed(seed)
    return {
        task: torch.randn(rows, rank, generator=draw) @ torch.randn(rank, columns, generator=draw) for task in TASKS
    }


def null_space(side, spans, width, kept):
    draw = torch.Generator().manual_seed(9)
    return NullSpace(side, spans, torch.linalg.qr(torch.randn(width, kept, generator=draw))[0])


@pytest.mark.parametrize("shape", [(12, 20), (20, 12)])
def test_a_gradient_of_low_rank_passes_whole(shape):
    own = gradients(*shape, rank=3)
    subspaces = TaskSubspaces("layer", own, None, GemsConfig(rank=6, complementary=False), SHARES)
    for task in TASKS:
        lost = subspaces.project(task, own[task]) - own[task]
        assert lost.norm() < 5 * FILL * own[task].norm(), "all but what the directions that fill a basis disturb"


@pytest.mark.parametrize("shape", [(12, 20), (20, 12)])
@pytest.mark.parametrize("side", ["output", "input"])
@pytest.mark.parametrize("spans", ["protected", "free"])
def test_projected_gradients_lie_in_the_null_space_and_have_the_tasks_rank(shape, side, spans):
    own = gradients(*shape, rank=12)
    space = null_space(side, spans, shape[0 if side == "output" else 1], 5)
    subspaces = TaskSubspaces("layer", own, space, GemsConfig(rank=3, task_rank=2), SHARES)
    for task in TASKS:
        projected_MN = subspaces.project(task, own[task])
        assert torch.linalg.matrix_rank(projected_MN, rtol=1e-4) == 2
        touched = space.protected(projected_MN if side == "output" else projected_MN.T)
        assert float(touched.norm()) < 1e-5 * float(projected_MN.norm())
        torch.testing.assert_close(subspaces.project(task, projected_MN), projected_MN, atol=1e-4, rtol=0)


def test_a_share_of_the_rank_is_of_the_free_directions():
    own = gradients(12, 20, rank=12)
    space, config = null_space("output", "free", 12, 8), GemsConfig(rank=0.25, task_rank=0.5)
    subspaces = TaskSubspaces("layer", own, space, config, SHARES)
    assert torch.linalg.matrix_rank(subspaces.project("search", own["search"]), rtol=1e-4) == 4


@pytest.mark.parametrize("shape", [(12, 20), (20, 12)])
def test_what_the_shared_subspace_holds_is_in_no_tasks_projection(shape):
    """The batch's gradient has three directions on the shorter side, and so do all projections outside of them."""
    own = gradients(*shape, rank=12)
    batch_MN = sum(own[task] * SHARES[task] for task in TASKS)
    left, values, right = torch.linalg.svd(batch_MN, full_matrices=False)
    own["recommendation"] = (left[:, :3] * values[:3] @ right[:3] - SHARES["search"] * own["search"]) / 0.7
    subspaces = TaskSubspaces("layer", own, None, GemsConfig(rank=3, task_rank=4), SHARES)
    for task in TASKS:
        projected_MN = subspaces.project(task, own[task])
        inside = left[:, :3].T @ projected_MN if shape[0] < shape[1] else projected_MN @ right[:3].T
        assert projected_MN.norm() > 1
        assert inside.norm() < 1e-3 * projected_MN.norm()


def test_a_shared_subspace_without_room_beside_it_leaves_the_tasks_none():
    assert TaskSubspaces("layer", gradients(12, 20, rank=12), None, GemsConfig(rank=1.0), SHARES).rank == 0


def test_gradients_are_those_of_the_mean_loss_of_a_task(setup):
    model, step = setup.backbone.model, 3
    modules = projected_modules(model, setup.recipe.gems.modules)
    found = task_gradients(setup, modules, step)
    for parts in setup.batches.micro_batches(step):
        loss = sum(task_loss(model, part, setup.level_tokens, setup.recipe.training) * part.tokens for part in parts)
        weights = [module.weight for module in modules.values()]
        expected = torch.autograd.grad(loss / sum(part.tokens for part in parts), weights)
        for name, grad_MN in zip(modules, expected, strict=True):
            torch.testing.assert_close(found[parts[0].task][name], grad_MN, atol=1e-6, rtol=1e-4)
    assert all(weight.grad is None for weight in model.parameters())


def test_the_cosine_is_that_of_torch():
    one, other = gradients(5, 7, 3).values()
    expected = cosine_similarity(one.flatten(), other.flatten(), dim=0)
    assert cosine(one, other) == pytest.approx(float(expected), abs=1e-6)
    assert np.isnan(cosine(one, torch.zeros_like(one)))


def test_one_batch_gives_its_own_cosines(setup):
    figures = conflict(setup, batches=1, refresh_batches=1)
    modules = projected_modules(setup.backbone.model, setup.recipe.gems.modules)
    found = task_gradients(setup, modules, setup.recipe.training.steps + 1)
    assert set(figures["layers"]) == set(modules)
    for name, own in figures["layers"].items():
        expected = cosine(found["search"][name], found["recommendation"][name])
        assert own["before"]["cosine"]["value"] == pytest.approx(expected, abs=1e-5)
        assert own["before"]["negative"]["value"] == float(expected < 0)


def test_a_recipe_without_null_spaces_has_none_estimated(setup, monkeypatch):
    monkeypatch.setattr(module, "estimate_null_spaces", lambda *args, **settings: pytest.fail("estimated"))
    recipe = setup.recipe.model_copy(update={"gems": replace(setup.recipe.gems, null_space=False)})
    figures = conflict(replace(setup, recipe=recipe), batches=1, refresh_batches=1)
    assert all(-1 <= own["after"]["cosine"]["value"] <= 1 for own in figures["layers"].values())


@pytest.mark.parametrize("method", ["gems", "full"])
def test_the_command_treats_all_bundles_alike(bundles, files, tmp_path, method, capsys):
    out, image = tmp_path / "conflict.json", tmp_path / "conflict.png"
    bundle = bundles[method]
    options = ["--bundle", str(bundle.path), "--events", str(files[1]), "--batches", "4", "--refresh-batches", "2"]
    assert main([*options, "--json", str(out), "--picture", str(image)]) == 0
    figures = json.loads(out.read_text())
    assert (figures["bundle"], figures["method"], figures["batches"]) == (bundle.version, method, 4)
    for stage in ("before", "after"):
        values = [own[stage]["cosine"]["value"] for own in figures["layers"].values()]
        assert figures["all"][stage]["cosine"]["value"] == pytest.approx(np.mean(values), abs=1e-5)
    assert image.read_bytes().startswith(b"\x89PNG")
    assert "before decomposition: cosine" in capsys.readouterr().out


def test_events_that_do_not_exist_are_named(bundles, capsys):
    assert main(["--bundle", str(bundles["gems"].path), "--events", "nowhere.parquet"]) == 2
    assert "nowhere.parquet does not exist" in capsys.readouterr().err
