"""The gradient of each task in each layer, and its projection on the task's subspace.

GEMS reduces the gradient G_k of task k to its projection U_k·U_kᵀ·G_k inside the null space. Here U_k holds the leading
directions of the task's gradient over a few batches, which are chosen from a sketch as GEMS chooses its bases
(`trainer/gems/subspace.py`): outside of the shared subspace, if the recipe has complementary ones.

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
from trainer.gems.layer.null_space import LayerNullSpace
from trainer.gems.nullspace.space import NullSpace
from trainer.gems.numerics import generator_for
from trainer.gems.stats import SubspaceName
from trainer.gems.subspace import sketch_basis

__all__ = ["TaskSubspaces", "cosine", "mean_gradients", "task_gradients", "token_shares"]


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


def token_shares(setup: TrainingSetup, steps: Sequence[int]) -> dict[Task, float]:
    """Each task's share of the target tokens of these steps' batches."""
    tokens = dict.fromkeys(TASKS, 0)
    for step in steps:
        for parts in setup.batches.micro_batches(step):
            tokens[parts[0].task] += sum(part.tokens for part in parts)
    return {task: count / sum(tokens.values()) for task, count in tokens.items()}


class TaskSubspaces:
    """The two task subspaces of one layer.

    name: the layer's name.
    gradients_MN: each task's mean gradient over some batches, from which the task's basis is chosen.
    null_space: the layer's null space; None where there is none.
    config: the settings of GEMS. A rank above the number of directions that the layer has is reduced to it.
    shares: each task's share of the target tokens, with which the shared gradient is the mean of the tasks'.

    rank: of each task's subspace; 0 where the shared subspace leaves no room, and `project` must not be called.
    """

    def __init__(
        self,
        name: str,
        gradients_MN: Mapping[Task, Tensor],
        null_space: NullSpace | None,
        config: GemsConfig,
        shares: Mapping[Task, float],
    ) -> None:
        rows, columns = next(iter(gradients_MN.values())).shape
        self._transposed = rows > columns
        self._null_space = LayerNullSpace(null_space, transposed=self._transposed)
        self._name, self._config = name, config
        short = self._null_space.short
        self._room = min(rows, columns) if short is None else short.free
        shared_rank, self.rank = _ranks(config, self._room)
        shared_SR = None
        if config.complementary and self.rank:
            shared_MN = torch.stack([grad_MN * shares[task] for task, grad_MN in gradients_MN.items()]).sum(0)
            shared_SR = self._basis("shared", shared_MN, shared_rank)
        self._bases_SR = {
            task: self._basis(task, grad_MN, self.rank, shared_SR)
            for task, grad_MN in gradients_MN.items()
            if self.rank
        }

    def project(self, task: Task, gradient_MN: Tensor) -> Tensor:
        """The projection U·Uᵀ·G of a task's gradient inside the null space, [M, N]."""
        basis_SR = self._bases_SR[task]
        projected_RL = basis_SR.T @ self._short_first(gradient_MN)
        if self._null_space.long is not None:
            self._null_space.long.project_(projected_RL.T)
        full_SL = basis_SR @ projected_RL
        return full_SL.T if self._transposed else full_SL

    def _basis(
        self, subspace: SubspaceName, gradient_MN: Tensor, rank: int, outside_SR: Tensor | None = None
    ) -> Tensor:
        grad_SL = self._short_first(gradient_MN)
        generator = generator_for(self._config.seed, "conflict", self._name, subspace, device=grad_SL.device)
        columns = min(self._room, rank + self._config.oversampling)
        omega_LC = torch.randn(grad_SL.shape[1], columns, device=generator.device, generator=generator)
        if self._null_space.long is not None:
            self._null_space.long.project_(omega_LC)
        return sketch_basis(grad_SL @ omega_LC, rank, self._null_space.short, outside_SR, generator=generator)

    def _short_first(self, matrix_MN: Tensor) -> Tensor:
        return matrix_MN.T if self._transposed else matrix_MN


def cosine(one_MN: Tensor, other_MN: Tensor) -> float:
    """The cosine of the angle between two matrices as vectors; nan where one is zero."""
    norms = torch.linalg.vector_norm(one_MN) * torch.linalg.vector_norm(other_MN)
    return float(torch.vdot(one_MN.flatten(), other_MN.flatten()) / norms) if norms > 0 else float("nan")


def mean_gradients(batches: Sequence[dict[Task, dict[str, Tensor]]], name: str) -> dict[Task, Tensor]:
    """One layer's mean gradient over batches, for each task."""
    return {task: torch.stack([batch[task][name] for batch in batches]).mean(0) for task in TASKS}


def _ranks(config: GemsConfig, room: int) -> tuple[int, int]:
    """The rank of the shared subspace, and that of each task's own."""

    def in_directions(rank: int | float) -> int:
        return max(1, int(rank * room)) if isinstance(rank, float) else min(rank, room)

    shared = in_directions(config.rank)
    own = max(1, shared // 2 if config.task_rank is None else in_directions(config.task_rank))
    return shared, min(own, room - shared) if config.complementary else own
