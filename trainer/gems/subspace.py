"""One low-rank subspace of one weight: its basis, the images of gradients in it, and Adam's moments there.

A new basis is chosen at the end of a step, and takes over at the start of the next one's update. In between, gradients
are imaged in the new basis, and the last update's slope, which the gate learns from, is taken in the basis it was made
in.

S, L shorter and longer side of the weight; R rank; C columns of the sketch.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from trainer.gems.adam import Adam, Moments
from trainer.gems.basis import random_basis, sketch_basis
from trainer.gems.config import MomentsAtRefresh
from trainer.gems.nullspace import NullSpace
from trainer.gems.state import restore_

__all__ = ["Subspace"]


class Subspace:
    """Of the null spaces, `short` of the S side and `long` of the L side, one at most is given."""

    def __init__(
        self,
        short_long: tuple[int, int],
        rank: int,
        *,
        short: NullSpace | None,
        long: NullSpace | None,
        dtype: torch.dtype,
        draw: torch.Generator,
    ) -> None:
        size, length = short_long
        self.rank = rank
        self._short, self._long = short, long
        self.basis_SR = random_basis(size, rank, short, dtype=dtype, draw=draw)
        self._next_basis_SR: Tensor | None = None
        self._moments = Moments((rank, length), dtype=dtype, device=draw.device)
        self._chosen_at: int | None = None  # the step whose gradient chose the basis; None for the random first one
        self._moved = False  # took part in the last applied step
        self.image_RL: Tensor | None = None  # tokens · basisᵀ · gradient, summed over micro-batches

    def due(self, step: int, refresh_every: int) -> bool:
        """Whether the gradient after `step` applied steps should choose a new basis."""
        return self._chosen_at is None or step - self._chosen_at >= refresh_every

    @property
    def imaging_basis_SR(self) -> Tensor:
        return self.basis_SR if self._next_basis_SR is None else self._next_basis_SR

    def observe(self, grad_SL: Tensor, *, tokens: int) -> Tensor:
        """Adds the image of one micro-batch's gradient; returns that image [R, L]."""
        image_RL = _image(self.imaging_basis_SR, grad_SL)
        if self.image_RL is None:
            self.image_RL = image_RL * tokens
        else:
            self.image_RL.add_(image_RL, alpha=tokens)
        return image_RL

    def slope(self, grad_SL: Tensor, adam: Adam, image_RL: Tensor | None = None) -> Tensor | None:
        """⟨gradient, this subspace's last direction⟩, a scalar; None where it did not move last time.

        `image_RL` is the gradient's image from `observe`, if that was called; it saves a product where it can.
        """
        if not self._moved:
            return None
        if image_RL is None or self._next_basis_SR is not None:
            image_RL = _image(self.basis_SR, grad_SL)
        return torch.vdot(self._direction(adam).flatten(), image_RL.flatten())

    def finish_image(self, factor: float) -> None:
        """Turns the sum into the mean gradient's image, by `factor`, inside the null space of the longer side."""
        if self.image_RL is not None:
            self._project_long_(self.image_RL.mul_(factor))

    def update(self, factor: float, adam: Adam, at_refresh: MomentsAtRefresh) -> Tensor | None:
        """Takes over a new basis if there is one, then makes one Adam step on `factor` times the image.

        Returns the direction [R, L] to be subtracted as basis·direction, or None without an image. Consumes the image.
        """
        self._moved = self.image_RL is not None
        if self.image_RL is None:
            return None
        if self._next_basis_SR is not None:
            self._take_over(self._next_basis_SR, at_refresh)
        self._moments.update(self.image_RL.mul_(factor), adam)
        self.image_RL = None
        return self._direction(adam)

    def choose_basis(self, sketch_SC: Tensor, step: int, draw: torch.Generator) -> None:
        """Chooses the next basis from the sketch of the gradient after `step` applied steps."""
        self._next_basis_SR = sketch_basis(sketch_SC, self.rank, self._short, draw=draw)
        self._chosen_at = step

    def state_dict(self) -> dict[str, Any]:
        return {
            "basis": self.basis_SR,
            "next_basis": self._next_basis_SR,
            "moments": self._moments.state_dict(),
            "chosen_at": self._chosen_at,
            "moved": self._moved,
        }

    def load_state_dict(self, state: dict[str, Any], where: str) -> None:
        restore_(self.basis_SR, state["basis"], where)
        self._next_basis_SR = None
        if state["next_basis"] is not None:
            self._next_basis_SR = torch.empty_like(self.basis_SR)
            restore_(self._next_basis_SR, state["next_basis"], where)
        self._moments.load_state_dict(state["moments"], where)
        self._chosen_at = state["chosen_at"]
        self._moved = state["moved"]

    def _take_over(self, next_basis_SR: Tensor, at_refresh: MomentsAtRefresh) -> None:
        if at_refresh == "rotate":
            self._moments.rotate(next_basis_SR.T @ self.basis_SR)
        else:
            self._moments.reset()
        self.basis_SR, self._next_basis_SR = next_basis_SR, None

    def _direction(self, adam: Adam) -> Tensor:
        """Adam's elementwise division leaves the null space of the longer side, so its result is projected again."""
        return self._project_long_(self._moments.direction(adam))

    def _project_long_(self, matrix_RL: Tensor) -> Tensor:
        if self._long is not None:
            self._long.project_(matrix_RL.T)
        return matrix_RL


def _image(basis_SR: Tensor, grad_SL: Tensor) -> Tensor:
    """In the gradient's own type, so that bfloat16 gradients use bfloat16 units, then kept in the basis's."""
    return (basis_SR.to(grad_SL.dtype).T @ grad_SL).to(basis_SR.dtype)
