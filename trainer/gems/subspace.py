"""One low-rank subspace of one weight: its basis, the images of gradients in it, and Adam's moments there.

A new basis is chosen at the end of a step, and takes over at the start of the next one's update. In between, gradients
are imaged in the new basis, and the last update's slope, which the gate learns from, is taken in the basis it was made
in.

S, L shorter and longer side of the weight (of a divided one those columns of L whose moments are here); R rank; C
columns of the sketch.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from trainer.config.gems import MomentsAtRefresh
from trainer.gems.adam import Adam, Moments
from trainer.gems.basis import random_basis, sketch_basis
from trainer.gems.nullspace.space import NullSpace
from trainer.gems.state import restore_

__all__ = ["Subspace"]


class Subspace:
    """short: the null space of the S side, which the basis then lies in."""

    def __init__(
        self,
        short_long: tuple[int, int],
        rank: int,
        *,
        short: NullSpace | None,
        dtype: torch.dtype,
        draw: torch.Generator,
    ) -> None:
        size, length = short_long
        self.rank = rank
        self._short = short
        self.basis_SR = random_basis(size, rank, short, dtype=dtype, draw=draw)
        self._next_basis_SR: Tensor | None = None
        self._moments = Moments((rank, length), dtype=dtype, device=draw.device)
        self._chosen_at: int | None = None  # the step whose gradient chose the basis; None for the random first one
        self.moved = False  # took part in the last applied step
        self.image_RL: Tensor | None = None  # tokens · basisᵀ · gradient, summed over micro-batches

    def due(self, step: int, refresh_every: int) -> bool:
        """Whether the gradient after `step` applied steps should choose a new basis."""
        return self._chosen_at is None or step - self._chosen_at >= refresh_every

    @property
    def imaging_basis_SR(self) -> Tensor:
        """What the next gradients are imaged in."""
        return self.basis_SR if self._next_basis_SR is None else self._next_basis_SR

    def add(self, image_RL: Tensor, *, tokens: int) -> None:
        """Adds the image of one micro-batch's gradient."""
        if self.image_RL is None:
            self.image_RL = image_RL * tokens
        else:
            self.image_RL.add_(image_RL, alpha=tokens)

    def update(self, factor: float, adam: Adam, at_refresh: MomentsAtRefresh) -> bool:
        """Takes over a new basis if there is one, then gives `factor` times the image to Adam's moments.

        False, and nothing happens, without an image. Consumes the image.
        """
        self.moved = self.image_RL is not None
        if self.image_RL is None:
            return False
        if self._next_basis_SR is not None:
            self._take_over(self._next_basis_SR, at_refresh)
        self._moments.update(self.image_RL.mul_(factor), adam)
        self.image_RL = None
        return True

    def direction(self, adam: Adam) -> Tensor:
        """[R, L], to be subtracted as basis·direction. Adam's division leaves the null space of the L side."""
        return self._moments.direction(adam)

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
            "moved": self.moved,
        }

    def load_state_dict(self, state: dict[str, Any], where: str) -> None:
        restore_(self.basis_SR, state["basis"], where)
        self._next_basis_SR = None
        if state["next_basis"] is not None:
            self._next_basis_SR = torch.empty_like(self.basis_SR)
            restore_(self._next_basis_SR, state["next_basis"], where)
        self._moments.load_state_dict(state["moments"], where)
        self._chosen_at = state["chosen_at"]
        self.moved = state["moved"]

    def _take_over(self, next_basis_SR: Tensor, at_refresh: MomentsAtRefresh) -> None:
        if at_refresh == "rotate":
            self._moments.rotate(next_basis_SR.T @ self.basis_SR)
        else:
            self._moments.reset()
        self.basis_SR, self._next_basis_SR = next_basis_SR, None
