"""One projected weight: takes gradients apart into low-rank images, and puts low-rank directions together to an update.

The bases lie on the weight's shorter side; a weight with more rows than columns is looked at through its transpose. The
null space protects the rows (side "output") or the columns ("input"), which is the shorter or the longer side:

- shorter: the bases themselves lie in the null space, so whatever they carry does;
- longer: images, and directions after Adam's division, are multiplied by the projector, as thin matrices.

M, N rows and columns of the weight; S, L its shorter and longer side; R rank; C columns of the sketch.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from catalog.prompts import TASKS, Task
from trainer.errors import BackboneError, NullSpaceError, SettingsError
from trainer.gems.adam import Adam
from trainer.gems.config import GemsConfig
from trainer.gems.nullspace import NullSpace
from trainer.gems.precision import add_rounded_, compute_dtype
from trainer.gems.randomness import generator_for
from trainer.gems.state import check_names
from trainer.gems.stats import Gates, Part, PerTask
from trainer.gems.subspace import Subspace

__all__ = ["ProjectedLayer"]


class ProjectedLayer:
    """Raises SettingsError for a rank the layer has no room for, NullSpaceError for a null space of another width."""

    def __init__(self, name: str, weight: nn.Parameter, config: GemsConfig, null_space: NullSpace | None) -> None:
        self.name, self.weight = name, weight
        self._config = config
        if weight.dtype not in (torch.float32, torch.float64, torch.bfloat16):
            raise BackboneError(f"{name} is {weight.dtype}: load the model in float32 or bfloat16")
        rows, columns = weight.shape
        self._transposed = rows > columns
        self._dtype = compute_dtype(weight)
        self._null_space = _fitting(null_space, name, weight, self._dtype)
        rows_are_short = not self._transposed
        protects_short = null_space is not None and (null_space.side == "output") == rows_are_short
        self._short = self._null_space if protects_short else None
        self._long = None if protects_short else self._null_space

        self._room = min(rows, columns) if self._short is None else self._short.free
        ranks = self._ranks()
        self._columns = min(self._room, max(ranks.values()) + config.oversampling)
        self.subspaces = {part: self._subspace(part, rank) for part, rank in ranks.items()}
        self.sketches: dict[Task, Tensor] = {}  # on refresh steps, tokens · gradient · Ω, summed over micro-batches

    def observe(self, task: Task, *, tokens: int, step: int, probe: Adam | None) -> dict[Task, Tensor]:
        """Takes in and frees the weight's `.grad`, of one task's mean loss over `tokens`.

        With `probe`, returns ⟨gradient, direction⟩ for the tasks whose subspace moved in the last step.
        """
        grad_SL = self._take_gradient()
        slopes: dict[Task, Tensor] = {}
        self.subspaces["shared"].observe(grad_SL, tokens=tokens)
        for owner in TASKS if len(self.subspaces) > 1 else ():
            subspace = self.subspaces[owner]
            image_RL = subspace.observe(grad_SL, tokens=tokens) if owner == task else None
            slope = None if probe is None else subspace.slope(grad_SL, probe, image_RL)
            if slope is not None:
                slopes[owner] = slope
        if self._due(task, step):
            sketch_SC = (grad_SL @ self._test_matrix(step).to(grad_SL.dtype)).to(self._dtype).mul_(tokens)
            self.sketches[task] = self.sketches[task] + sketch_SC if task in self.sketches else sketch_SC
        return slopes

    def finish_images(self, tokens: PerTask) -> None:
        """Turns sums into means: the shared one over both tasks' tokens, each task's over its own."""
        for part, subspace in self.subspaces.items():
            count = tokens.total if part == "shared" else tokens.of(part)
            subspace.finish_image(1 / count if count else 0)

    def update(self, gates: Gates, *, factor: float, rate: float, decay: float, adam: Adam, step: int) -> Tensor | None:
        """Makes one step, of `factor` times the images: -rate · directions - decay · (weight in the null space).

        Returns the norm of that, a scalar; None where no gradient arrived. Consumes the images.
        """
        change_MN: Tensor | None = None
        for part, subspace in self.subspaces.items():
            direction_RL = subspace.update(factor, adam, self._config.moments_at_refresh)
            if direction_RL is not None:
                change_MN = self._added(change_MN, subspace.basis_SR, direction_RL, gates.of(part))
        if change_MN is None:
            return None
        change_MN.mul_(-rate)
        if decay:
            change_MN.add_(self._decaying(), alpha=-decay)
        add_rounded_(self.weight.data, change_MN, seed=self._config.seed, name=self.name, step=step)
        norm: Tensor = torch.linalg.vector_norm(change_MN)
        return norm

    def choose_bases(self, step: int) -> bool:
        """Chooses the next bases where sketches were made, and drops them. True if there was one."""
        sketches, self.sketches = self.sketches, {}
        for part, subspace in self.subspaces.items():
            mine = list(sketches.values()) if part == "shared" else [s for t, s in sketches.items() if t == part]
            if mine and subspace.due(step, self._config.refresh_every):
                draw = generator_for(self._config.seed, "fill", self.name, part, step, device=self.weight.device)
                subspace.choose_basis(torch.stack(mine).sum(0), step, draw)
        return bool(sketches)

    def accumulators(self) -> list[Tensor | None]:
        """Images, then sketches: always as many, in one order. None where no gradient arrived."""
        images = [subspace.image_RL for subspace in self.subspaces.values()]
        return [*images, *(self.sketches.get(task) for task in TASKS)]

    def complete(self, present: Sequence[bool]) -> None:
        """Puts zeros where `present`, a flag for each accumulator, says that another process has something."""
        size, length = min(self.weight.shape), max(self.weight.shape)
        wanted = iter(present)
        for subspace in self.subspaces.values():
            if next(wanted) and subspace.image_RL is None:
                subspace.image_RL = subspace.basis_SR.new_zeros(subspace.rank, length)
        for task in TASKS:
            if next(wanted) and task not in self.sketches:
                self.sketches[task] = torch.zeros(size, self._columns, dtype=self._dtype, device=self.weight.device)

    def bases(self) -> list[Tensor]:
        """Those that the next gradients are imaged in."""
        return [subspace.imaging_basis_SR for subspace in self.subspaces.values()]

    def discard(self) -> None:
        """Drops what the current batch has left so far."""
        self.sketches = {}
        for subspace in self.subspaces.values():
            subspace.image_RL = None

    def state_dict(self) -> dict[str, Any]:
        return {part: subspace.state_dict() for part, subspace in self.subspaces.items()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        check_names(state, self.subspaces, f"subspaces of {self.name}")
        for part, subspace in self.subspaces.items():
            subspace.load_state_dict(state[part], f"{self.name} ({part})")

    def _take_gradient(self) -> Tensor:
        grad_MN, self.weight.grad = self.weight.grad, None
        assert grad_MN is not None  # the hook runs when there is one
        return grad_MN.T if self._transposed else grad_MN

    def _due(self, task: Task, step: int) -> bool:
        parts = [self.subspaces["shared"]]
        if task in self.subspaces:
            parts.append(self.subspaces[task])
        return any(subspace.due(step, self._config.refresh_every) for subspace in parts)

    def _test_matrix(self, step: int) -> Tensor:
        """Ω [L, C], the same for every part of a step's gradient; drawn anew each time, so that it takes no memory."""
        draw = generator_for(self._config.seed, "sketch", self.name, step, device=self.weight.device)
        length = max(self.weight.shape)
        omega_LC = torch.randn(length, self._columns, dtype=self._dtype, device=draw.device, generator=draw)
        return omega_LC if self._long is None else self._long.project_(omega_LC)

    def _added(self, change_MN: Tensor | None, basis_SR: Tensor, direction_RL: Tensor, gate: float) -> Tensor:
        left, right = (direction_RL.T, basis_SR.T) if self._transposed else (basis_SR, direction_RL)
        if change_MN is None:
            return (left @ right).mul_(gate)
        return change_MN.addmm_(left, right, alpha=gate)

    def _decaying(self) -> Tensor:
        """What weight decay may shrink [M, N]: the weight's part in the null space. The rest stays what it was."""
        weight_MN = self.weight.detach().to(self._dtype, copy=True)
        if self._null_space is None:
            return weight_MN
        self._null_space.project_(weight_MN if self._null_space.side == "output" else weight_MN.T)
        return weight_MN

    def _ranks(self) -> dict[Part, int]:
        shared = self._rank("rank", self._config.rank)
        if not self._config.decomposition:
            return {"shared": shared}
        task_rank = self._config.task_rank
        own = max(1, shared // 2) if task_rank is None else self._rank("task_rank", task_rank)
        return {"shared": shared, "search": own, "recommendation": own}

    def _rank(self, setting: str, rank: int | float) -> int:
        if isinstance(rank, float):
            return max(1, int(rank * self._room))
        if rank > self._room:
            rows, columns = self.weight.shape
            protected = "" if self._short is None else ", less what the null space protects of its shorter side"
            raise SettingsError(
                f"gems.{setting} is {rank}, but {self.name} [{rows}, {columns}] has room for {self._room}{protected}: "
                f"set it to {self._room} or less, or to a share such as 0.5"
            )
        return rank

    def _subspace(self, part: str, rank: int) -> Subspace:
        rows, columns = self.weight.shape
        return Subspace(
            (min(rows, columns), max(rows, columns)),
            rank,
            short=self._short,
            long=self._long,
            dtype=self._dtype,
            draw=generator_for(self._config.seed, "basis", self.name, part, device=self.weight.device),
        )


def _fitting(null_space: NullSpace | None, name: str, weight: nn.Parameter, dtype: torch.dtype) -> NullSpace | None:
    if null_space is None:
        return None
    width = weight.shape[0 if null_space.side == "output" else 1]
    if null_space.width != width:
        raise NullSpaceError(
            f"the null space of {name} is {null_space.width} wide, its {null_space.side} side {width}: "
            "estimate it on this model"
        )
    return null_space.to(weight.device, dtype)
