"""The gradient of each task in each layer, and its projection on the task's subspace.

GEMS reduces the gradient G_k of task k to its projection U_k·U_kᵀ·G_k inside the null space. Here U_k holds the leading
directions of the task's gradient over a few batches, which are chosen from a sketch as GEMS chooses its bases
(`trainer/gems/subspace.py`).

M, N rows and columns of the weight; S, L its shorter and longer side; R rank; C columns of a sketch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from catalog.text.prompts import TASKS, Task
from trainer.analysis.training_setup import TrainingSetup
from trainer.config.gems import GemsConfig
from trainer.data.batches import task_loss
from trainer.gems.nullspace.space import NullSpace
from trainer.gems.numerics import generator_for
from trainer.gems.subspace import sketch_basis

__all__ = ["TaskSubspaces", "cosine", "mean_gradients", "task_gradients"]


def task_gradients(setup: TrainingSetup, modules: Mapping[str, nn.Linear], step: int) -> dict[Task, dict[str, Tensor]]:
    """For each task, the gradient of its mean loss in the batch of a step, by layer: float32 [M, N]. Dropout is off.

    The gradients of both tasks are kept for all layers, so this takes twice the layers' memory.

    modules: the layers, by name.
    """
    model = setup.backbone.model.eval()
    device, found = model.device, dict[Task, dict[str, Tensor]]()
    for parts in setup.batches.micro_batches(step):
        tokens = sum(part.tokens for part in parts)
        model.zero_grad(set_to_none=True)
        for part in parts:
            loss = task_loss(model, part.to(device), setup.level_tokens, setup.recipe.training)
            torch.autograd.backward(loss * (part.tokens / tokens))
        found[parts[0].task] = {
            name: module.weight.grad.float() for name, module in modules.items() if module.weight.grad is not None
        }
    model.zero_grad(set_to_none=True)
    return found


class TaskSubspaces:
    """The two task subspaces of one layer.

    name: the layer's name.
    gradients_MN: each task's mean gradient over some batches, from which the task's basis is chosen.
    null_space: the layer's null space; None where there is none.
    config: the settings of GEMS. A rank above the number of directions that the layer has is reduced to it.
    """

    def __init__(
        self, name: str, gradients_MN: Mapping[Task, Tensor], null_space: NullSpace | None, config: GemsConfig
    ) -> None:
        rows, columns = next(iter(gradients_MN.values())).shape
        self._transposed = rows > columns
        protects_short = null_space is not None and (null_space.side == "output") != self._transposed
        self._short_null_space = null_space if protects_short else None
        self._long_null_space = None if protects_short else null_space
        self._bases_SR = {task: self._basis(name, task, grad_MN, config) for task, grad_MN in gradients_MN.items()}

    def project(self, task: Task, gradient_MN: Tensor) -> Tensor:
        """The projection U·Uᵀ·G of a task's gradient inside the null space, [M, N]."""
        basis_SR = self._bases_SR[task]
        projected_RL = basis_SR.T @ self._short_first(gradient_MN)
        if self._long_null_space is not None:
            self._long_null_space.project_(projected_RL.T)
        full_SL = basis_SR @ projected_RL
        return full_SL.T if self._transposed else full_SL

    def _basis(self, name: str, task: Task, gradient_MN: Tensor, config: GemsConfig) -> Tensor:
        grad_SL = self._short_first(gradient_MN)
        max_rank = len(grad_SL) if self._short_null_space is None else self._short_null_space.free
        rank = _task_rank(config, max_rank)
        generator = generator_for(config.seed, "conflict", name, task, device=grad_SL.device)
        columns = min(max_rank, rank + config.oversampling)
        omega_LC = torch.randn(grad_SL.shape[1], columns, device=generator.device, generator=generator)
        if self._long_null_space is not None:
            self._long_null_space.project_(omega_LC)
        return sketch_basis(grad_SL @ omega_LC, rank, self._short_null_space, generator=generator)

    def _short_first(self, matrix_MN: Tensor) -> Tensor:
        return matrix_MN.T if self._transposed else matrix_MN


def cosine(one_MN: Tensor, other_MN: Tensor) -> float:
    """The cosine of the angle between two matrices as vectors; nan where one is zero."""
    norms = torch.linalg.vector_norm(one_MN) * torch.linalg.vector_norm(other_MN)
    return float(torch.vdot(one_MN.flatten(), other_MN.flatten()) / norms) if norms > 0 else float("nan")


def mean_gradients(batches: Sequence[dict[Task, dict[str, Tensor]]], name: str) -> dict[Task, Tensor]:
    """One layer's mean gradient over batches, for each task."""
    return {task: torch.stack([batch[task][name] for batch in batches]).mean(0) for task in TASKS}


def _task_rank(config: GemsConfig, max_rank: int) -> int:
    def in_directions(rank: int | float) -> int:
        return max(1, int(rank * max_rank)) if isinstance(rank, float) else min(rank, max_rank)

    if config.task_rank is None:
        return max(1, in_directions(config.rank) // 2)
    return max(1, in_directions(config.task_rank))
