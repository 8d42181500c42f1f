"""The benchmark of a training step, on a model of seconds."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from catalog.text.prompts import TASKS
from loadtest.training import __main__ as training
from loadtest.training.__main__ import LIMITS, group_by_memory, main, summarize
from loadtest.training.method_process import NAMES, make_step
from loadtest.training.released_gems import ReleasedGems
from loadtest.training.setup import Setup, draw_batches, make_backbone, recipe_of
from tests.support.forked_workers import forked_workers
from trainer.data.batches import task_loss
from trainer.gems import GemsConfig, NullSpace
from trainer.gems.adam import PlainWeight
from trainer.gems.parameters import projected_modules


@pytest.fixture(autouse=True)
def processes_start_soon():
    with forked_workers():
        yield


TINY = Setup(parameters=50_000, sequences=2, length=24, rank=8)


def test_the_figures_are_written_and_shown(tmp_path, capsys):
    out = tmp_path / "training.json"
    size = ["--parameters", "50e3", "--sequences", "2", "--length", "24", "--rank", "8", "--threads", "1"]
    assert main(["--json", str(out), "--steps", "1", "--methods", "gems", "released", "lora", *size]) == 0
    figures = json.loads(out.read_text())
    rows = {row["method"]: row for row in figures["rows"]}
    assert set(rows) == {"gems", "released", "lora"}
    assert set(figures["ratio"]) == {"released", "lora"}
    for name, ratio in figures["ratio"].items():
        assert ratio["time"] == pytest.approx(rows["gems"]["step_s"] / rows[name]["step_s"])
        assert ratio["memory"] == pytest.approx(rows["gems"]["peak_bytes"] / rows[name]["peak_bytes"])
    assert all(row["steps"] == 1 and row["peak_bytes"] > 2**20 for row in rows.values())
    assert figures["limits"]["released"] == {"time": 0.5, "memory": 0.45}
    assert figures["machine"]["threads"] == torch.get_num_threads()
    parts = figures["parts"]
    assert parts["weights"] >= 4 * 50_000
    assert {"moments", "bases", "null factors", "projected gradients", "activations"} <= parts.keys()
    assert min(parts.values()) > 0
    shown = capsys.readouterr().out
    assert "before the second backward pass" in shown
    assert all(name in shown for name in ("gems", "released", "lora", "at most"))


@pytest.mark.parametrize("name", NAMES)
def test_every_method_moves_the_projected_weights(name, monkeypatch):
    made = make_backbone(TINY)
    monkeypatch.setattr("loadtest.training.method_process.make_backbone", lambda setup: made)
    names = list(projected_modules(made.model, GemsConfig().modules))
    before = {key: weight.detach().clone() for key, weight in made.model.named_parameters()}
    step = make_step(name, TINY)
    for _ in range(2):  # LoRA's first step leaves the product of the adapters small
        step()
    batches, level_tokens = draw_batches(TINY, made)
    loss = task_loss(made.model, batches[0], level_tokens, recipe_of("gems", TINY).training)
    assert loss.detach().isfinite()
    after = {key.replace("base_layer.", ""): weight for key, weight in made.model.named_parameters()}
    moved = [not torch.equal(before[f"{key}.weight"], after[f"{key}.weight"]) for key in names]
    assert all(moved) == (name != "lora"), "LoRA's adapters stand beside the weights"
    assert any(not torch.equal(weight, after[key]) for key, weight in before.items() if "norm" in key)


@pytest.mark.parametrize("parameters", [40_000, 3_000_000, 20_000_000])
def test_a_model_is_as_large_as_asked(parameters):
    recipe = Setup(parameters=parameters).backbone
    assert 16 * recipe.hidden**2 * recipe.layers >= parameters
    assert 16 * recipe.hidden**2 * (recipe.layers - 1) < parameters
    assert recipe.hidden == 64 * recipe.heads


def test_a_batch_predicts_the_codes_that_it_shows():
    backbone = make_backbone(TINY)
    batches, level_tokens = draw_batches(TINY, backbone)
    assert [batch.task for batch in batches] == list(TASKS)
    for batch in batches:
        assert batch.ids_BT.shape == (2, 24)
        for row, start, codes in zip(batch.rows_P, batch.starts_P, batch.codes_PL, strict=True):
            shown = batch.ids_BT[row, start : start + len(level_tokens)]
            assert shown.tolist() == [int(tokens[code]) for tokens, code in zip(level_tokens, codes, strict=True)]


def test_what_does_not_fit_takes_turns_in_groups(monkeypatch):
    setup = replace(TINY, parameters=1000)
    for free, sizes in ((10**9, [5]), (4000 * 10 / 0.7, [1, 1, 2, 1]), (1, [1] * 5)):
        monkeypatch.setattr(training, "_free_memory", lambda device, free=free: free)
        groups = list(group_by_memory(NAMES, setup))
        assert [name for group in groups for name in group] == list(NAMES)
        assert [len(group) for group in groups] == sizes


def test_ratios_are_ours_to_the_others():
    costs = {
        "gems": training.Costs(9.0, [1.0, 3.0, 2.0], [4.0], 60),
        "adamw": training.Costs(9.0, [4.0], [5.0], 100),
    }
    figures = summarize(costs)
    assert figures["ratio"] == {"adamw": {"time": 0.5, "cpu_time": 0.8, "memory": 0.6}}
    assert set(LIMITS) <= set(NAMES)


def test_a_method_that_fails_says_why(tmp_path, capsys):
    size = ["--parameters", "50e3", "--sequences", "2", "--length", "24", "--rank", "4000", "--threads", "1"]
    assert main(["--json", str(tmp_path / "none.json"), "--methods", "gems", *size]) == 2
    assert "gems.rank is 4000" in capsys.readouterr().err


@pytest.mark.parametrize("shape", [(6, 10), (10, 6)])
def test_the_released_step_is_the_formula(shape):
    """One weight W with losses ⟨A, W⟩: the gradients are the constant A, and everything is written out by NumPy."""
    draw = torch.Generator().manual_seed(0)
    ranks = {"shared": 4, "search": 2, "recommendation": 2}  # so that randomised singular vectors are exact
    gradients = {
        part: torch.randn(shape[0], rank, generator=draw) @ torch.randn(rank, shape[1], generator=draw)
        for part, rank in ranks.items()
    }
    weight = torch.nn.Parameter(torch.randn(shape, generator=draw))
    bias = torch.nn.Parameter(torch.ones(3))
    space = NullSpace("output", "protected", torch.linalg.qr(torch.randn(shape[0], 2, generator=draw))[0])
    config = GemsConfig(rank=4, lr=0.1, adamw_lr=0.1)
    before = weight.detach().clone()
    torch.manual_seed(0)
    opponent = ReleasedGems({"w": weight}, [PlainWeight("b", bias)], {"w": space}, config, rank=4)

    losses = {part: lambda part=part: (gradients[part] * weight).sum() + bias.sum() for part in gradients}
    opponent.step(losses, {"search": 3, "recommendation": 5})
    change = (before - weight.detach()).double().numpy() / config.lr

    factor = space.factor_WK.double().numpy()
    projector = np.eye(shape[0]) - factor @ factor.T
    parts = {}
    for part, gradient in gradients.items():
        projected = projector @ gradient.double().numpy()
        short = projected if shape[0] < shape[1] else projected.T
        basis = np.linalg.svd(short)[0][:, : ranks[part]]
        parts[part] = basis, np.sign(basis.T @ short)  # Adam's first step is the sign
    shape_short = (min(shape), max(shape))
    columns = [(basis @ direction).ravel() for basis, direction in parts.values()]
    wanted = change if shape[0] < shape[1] else change.T
    assert wanted.shape == shape_short
    weights, residual, *_ = np.linalg.lstsq(np.stack(columns, 1), wanted.ravel(), rcond=None)
    assert residual[0] < 1e-6, "the change is a sum of the three directions"
    assert weights[0] == pytest.approx(1, abs=1e-4)
    assert weights[1] + weights[2] == pytest.approx(1, abs=1e-4)
    assert min(weights) > 0
    assert torch.allclose(bias, torch.full((3,), 0.9)), "AdamW on the whole batch's gradient alone"
