"""What complementary subspaces are worth on a small problem: python -m tests.trainer.gems.complementary FILE

Writes the figures of docs/method.md. One task reads a Markov chain, the other the same chain backwards.
"""

from __future__ import annotations

import json
import statistics
import sys
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from catalog.text.prompts import TASKS, Task
from tests.trainer.gems.small_models import chain, language_loss, one_thread, qwen2
from trainer.gems import GemsConfig, GemsOptimizer

STEPS = 150
RATES = (3e-3, 1e-2, 3e-2)
VALIDATION, TEST = (9001,), (9002, 9003)  # seeds of batches that nothing is trained on


def batches(rows: int, seed: int) -> dict[Task, Tensor]:
    return {"search": chain(rows, seed), "recommendation": chain(rows, seed + 5000).flip(1)}


@torch.no_grad()
def losses(model: nn.Module, seeds: tuple[int, ...]) -> dict[Task, float]:
    return {
        task: statistics.mean(language_loss(model, batches(64, seed)[task]).item() for seed in seeds) for task in TASKS
    }


def share_inside(optimizer: GemsOptimizer) -> float:
    """How much of the tasks' bases lies inside the shared one, from 0 to 1; the mean over layers and tasks."""
    shares = []
    for layer in optimizer._layers:
        shared = layer.subspaces["shared"].basis_SR
        own = [layer.subspaces[task] for task in TASKS]
        shares += [(shared.T @ subspace.basis_SR).square().sum().item() / subspace.rank for subspace in own]
    return statistics.mean(shares)


def figures(lr: float, *, complementary: bool) -> dict[str, Any]:
    model = qwen2(hidden_size=64, intermediate_size=160)
    config = GemsConfig(
        rank=16,
        refresh_every=25,
        null_space=False,
        complementary=complementary,
        lr=lr,
        adamw_lr=3e-3,
        vocabulary_rows="all",
    )
    optimizer = GemsOptimizer(model, config)
    norms, shares = [], []
    for step in range(STEPS):
        for task, batch in batches(8, step).items():
            loss = language_loss(model, batch)
            with optimizer.task(task, tokens=batch.numel(), loss=loss):
                loss.backward()
        norms.append(optimizer.step().update_norm)
        if (step + 1) % 50 == 0:
            shares.append(share_inside(optimizer))
    return {
        "lr": lr,
        "complementary": complementary,
        "share_inside": statistics.mean(shares),
        "update_norm": statistics.mean(norms),
        "validation": losses(model, VALIDATION),
        "test": losses(model, TEST),
    }


if __name__ == "__main__":
    with one_thread():
        rows = [figures(lr, complementary=complementary) for lr in RATES for complementary in (True, False)]
    Path(sys.argv[1]).write_text(json.dumps({"rows": rows}, indent=2) + "\n", encoding="utf-8")
