"""What each task asks of a layer: its gradient there, and what of it the task's subspace lets through.

Of the gradient G_k of task k, GEMS applies U_k·U_kᵀ·G_k inside the null space. U_k holds the leading directions of the
projected gradient over a few batches, found from a sketch as at a refresh (trainer/gems/basis.py).

M, N rows and columns of the weight; S, L its shorter and longer side; R rank; C columns of a sketch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from catalog.text.prompts import TASKS, Task
from trainer.analysis.restored import Restored
from trainer.config.gems import GemsConfig
from trainer.data.batches import half_loss
from trainer.gems.basis import sketch_basis
from trainer.gems.nullspace.space import NullSpace
from trainer.gems.randomness import generator_for

__all__ = ["TaskSubspaces", "cosine", "mean_gradients", "task_gradients"]


def task_gradients(restored: Restored, modules: Mapping[str, nn.Linear], step: int) -> dict[Task, dict[str, Tensor]]:
    """Of the mean loss of either half of a step's batch, by layer: float32 [M, N]. Dropout is off.

    The gradients of one task's half are all kept, for every layer, beside the other's: twice the layers' size.
    """
    model = restored.backbone.model.eval()
    device, found = model.device, dict[Task, dict[str, Tensor]]()
    for parts in restored.batches.halves(step):
        tokens = sum(half.tokens for half in parts)
        model.zero_grad(set_to_none=True)
        for half in parts:
            loss = half_loss(model, half.to(device), restored.level_tokens, restored.recipe.training)
            torch.autograd.backward(loss * (half.tokens / tokens))
        found[parts[0].task] = {
            name: module.weight.grad.float() for name, module in modules.items() if module.weight.grad is not None
        }
    model.zero_grad(set_to_none=True)
    return found


class TaskSubspaces:
    """One layer's two task subspaces, from the mean gradients of some batches.

    Ranks are those of `config`: a number, cut to the room a layer has, or a share of it.
    """

    def __init__(
        self, name: str, gradients_MN: Mapping[Task, Tensor], null_space: NullSpace | None, config: GemsConfig
    ) -> None:
        rows, columns = next(iter(gradients_MN.values())).shape
        self._transposed = rows > columns
        protects_short = null_space is not None and (null_space.side == "output") != self._transposed
        self._short = null_space if protects_short else None
        self._long = None if protects_short else null_space
        self._bases_SR = {task: self._basis(name, task, grad_MN, config) for task, grad_MN in gradients_MN.items()}

    def image(self, task: Task, gradient_MN: Tensor) -> Tensor:
        """U·Uᵀ·G in the null space, back in the layer's own shape [M, N]."""
        basis_SR = self._bases_SR[task]
        image_RL = basis_SR.T @ self._short_first(gradient_MN)
        if self._long is not None:
            self._long.project_(image_RL.T)
        back_SL = basis_SR @ image_RL
        return back_SL.T if self._transposed else back_SL

    def _basis(self, name: str, task: Task, gradient_MN: Tensor, config: GemsConfig) -> Tensor:
        grad_SL = self._short_first(gradient_MN)
        room = len(grad_SL) if self._short is None else self._short.free
        rank = _task_rank(config, room)
        draw = generator_for(config.seed, "conflict", name, task, device=grad_SL.device)
        columns = min(room, rank + config.oversampling)
        omega_LC = torch.randn(grad_SL.shape[1], columns, device=draw.device, generator=draw)
        if self._long is not None:
            self._long.project_(omega_LC)
        return sketch_basis(grad_SL @ omega_LC, rank, self._short, draw=draw)

    def _short_first(self, matrix_MN: Tensor) -> Tensor:
        return matrix_MN.T if self._transposed else matrix_MN


def cosine(one_MN: Tensor, other_MN: Tensor) -> float:
    """Of the angle between two matrices as vectors; nan where one is zero."""
    norms = torch.linalg.vector_norm(one_MN) * torch.linalg.vector_norm(other_MN)
    return float(torch.vdot(one_MN.flatten(), other_MN.flatten()) / norms) if norms > 0 else float("nan")


def mean_gradients(batches: Sequence[dict[Task, dict[str, Tensor]]], name: str) -> dict[Task, Tensor]:
    """One layer's, over batches, by task."""
    return {task: torch.stack([batch[task][name] for batch in batches]).mean(0) for task in TASKS}


def _task_rank(config: GemsConfig, room: int) -> int:
    def of(rank: int | float) -> int:
        return max(1, int(rank * room)) if isinstance(rank, float) else min(rank, room)

    return max(1, of(config.rank) // 2) if config.task_rank is None else of(config.task_rank)
