"""One projected weight: takes gradients apart into low-rank images, and puts low-rank directions together to an update.

Where processes hold the weight between them this is about the rows that are here, and sharded.py says what is summed.
The bases lie on the weight's shorter side; a weight with more rows than columns is looked at through its transpose. The
null space protects the rows (side "output") or the columns ("input"), which is the shorter or the longer side:

- shorter: the bases themselves lie in the null space, so whatever they carry does;
- longer: images, and directions after Adam's division, are multiplied by the projector, as thin matrices.

M, N rows and columns of the weight; S, L its shorter and longer side; R rank; C columns of the sketch; small letters:
what is here of a divided one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from catalog.text.prompts import TASKS, Task
from trainer.config.gems import GemsConfig
from trainer.core.errors import BackboneError, NullSpaceError, SettingsError
from trainer.distributed.group import ALONE, ProcessGroup
from trainer.gems.adam import Adam
from trainer.gems.nullspace.space import NullSpace
from trainer.gems.precision import add_rounded_, compute_dtype
from trainer.gems.randomness import generator_for
from trainer.gems.sharded import LocalRows
from trainer.gems.state import check_names
from trainer.gems.stats import Gates, Part, PerTask
from trainer.gems.subspace import Subspace

__all__ = ["ProjectedLayer"]


class ProjectedLayer:
    """Raises SettingsError for a rank the layer has no room for, NullSpaceError for a null space of another width."""

    def __init__(
        self,
        name: str,
        weight: nn.Parameter,
        config: GemsConfig,
        null_space: NullSpace | None,
        shards: ProcessGroup = ALONE,
    ) -> None:
        self.name, self.weight = name, weight
        self._here = LocalRows(weight, shards)
        self._config = config
        if weight.dtype not in (torch.float32, torch.float64, torch.bfloat16):
            raise BackboneError(f"{name} is {weight.dtype}: load the model in float32 or bfloat16")
        rows, columns = weight.shape
        self._dtype = compute_dtype(weight)
        self._null_space = None
        if null_space is not None:
            _check_width(null_space, name, weight)
            self._null_space = self._here.cut(null_space).to(weight.device, self._dtype)
        rows_are_short = not self._here.transposed
        protects_short = null_space is not None and (null_space.side == "output") == rows_are_short
        self._short = self._null_space if protects_short else None
        self._long = None if protects_short else self._null_space

        self._room = min(rows, columns) if self._short is None else self._short.free
        ranks = self._ranks()
        self._columns = min(self._room, max(ranks.values()) + config.oversampling)
        self.subspaces = {part: self._subspace(part, rank) for part, rank in ranks.items()}
        self._directions: dict[Part, Tensor] | None = None  # the tasks' last ones, which slopes are taken along
        self.sketches: dict[Task, Tensor] = {}  # on refresh steps, tokens · gradient · Ω, summed over micro-batches

    def observe(self, task: Task, *, tokens: int, step: int, probe: Adam | None) -> dict[Task, Tensor]:
        """Takes in and frees the weight's `.grad`, of one task's mean loss over `tokens`.

        With `probe`, returns ⟨gradient, direction⟩ for the tasks whose subspace moved in the last step.
        """
        grad_sl = self._here.take_gradient()
        adding: list[Part] = [part for part in self.subspaces if part in ("shared", task)]
        probed = [owner for owner in TASKS if self._moved(owner)] if probe is not None else []
        images = self._images([*adding, *(owner for owner in probed if owner not in adding)], grad_sl)
        for part in adding:
            self.subspaces[part].add(images[part], tokens=tokens)
        slopes = {owner: self._slope(owner, images[owner], grad_sl, probe) for owner in probed if probe is not None}
        if self._due(task, step):
            sketch_sC = (grad_sl @ self._test_matrix(step).to(grad_sl.dtype)).to(self._dtype).mul_(tokens)
            self.sketches[task] = self.sketches[task] + sketch_sC if task in self.sketches else sketch_sC
        return slopes

    def finish_images(self, tokens: PerTask) -> None:
        """Turns sums into means, inside the null space: the shared one over all tokens, each task's over its own."""
        images: dict[Part, Tensor] = {}
        for part, subspace in self.subspaces.items():
            count = tokens.total if part == "shared" else tokens.of(part)
            if subspace.image_RL is not None:
                images[part] = subspace.image_RL.mul_(1 / count if count else 0)
        images = dict(zip(images, self._here.sum_images(list(images.values())), strict=True))
        for part, image_RL in self._projected(images).items():
            self.subspaces[part].image_RL = image_RL

    def update(self, gates: Gates, *, factor: float, rate: float, decay: float, adam: Adam, step: int) -> Tensor | None:
        """Makes one step, of `factor` times the images: -rate · directions - decay · (weight in the null space).

        Returns the norm of that, a scalar; None where no gradient arrived. Consumes the images.
        """
        at_refresh = self._config.moments_at_refresh
        moved = [part for part, subspace in self.subspaces.items() if subspace.update(factor, adam, at_refresh)]
        self._directions = None
        if not moved:
            return None
        directions = self._last_directions(adam)
        change_mN = self._back([self.subspaces[part].basis_SR for part in moved], directions, gates).mul_(-rate)
        if decay:
            change_mN.add_(self._decaying(), alpha=-decay)
        first_row = self._here.rows.start
        add_rounded_(
            self._here.weight_mN, change_mN, seed=self._config.seed, name=self.name, step=step, first_row=first_row
        )
        if self._config.gate == "learned":
            self._directions = {owner: directions[owner].clone() for owner in TASKS if owner in directions}
        norm: Tensor = torch.linalg.vector_norm(change_mN)
        return norm

    def choose_bases(self, step: int) -> bool:
        """Chooses the next bases where sketches were made, and drops them. True if there was one."""
        sketches = {task: self._here.join_sketch(sketch_sC) for task, sketch_sC in self.sketches.items()}
        self.sketches = {}
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
        length, size = self._here.image_columns, self._here.sketch_rows
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
        self._directions = None

    def _due(self, task: Task, step: int) -> bool:
        parts = [self.subspaces["shared"]]
        if task in self.subspaces:
            parts.append(self.subspaces[task])
        return any(subspace.due(step, self._config.refresh_every) for subspace in parts)

    def _test_matrix(self, step: int) -> Tensor:
        """Ω [l, C], the same for every part of a step's gradient; drawn anew each time, so that it takes no memory."""
        draw = generator_for(self._config.seed, "sketch", self.name, step, device=self.weight.device)
        length = max(self.weight.shape)
        omega_LC = torch.randn(length, self._columns, dtype=self._dtype, device=draw.device, generator=draw)
        if self._long is not None:
            omega_LC = self._long.projected(omega_LC)
        return self._here.test_matrix_here(omega_LC)

    def _images(self, parts: Sequence[Part], grad_sl: Tensor) -> dict[Part, Tensor]:
        """basisᵀ · gradient of several subspaces by one product."""
        joint_SR = torch.cat([self.subspaces[part].imaging_basis_SR for part in parts], 1)
        return self._split(self._image(joint_SR, grad_sl), parts)

    def _image(self, basis_SR: Tensor, grad_sl: Tensor) -> Tensor:
        """[R, l], in the gradient's own type (fast units), then ours."""
        return (self._here.basis_here(basis_SR).to(grad_sl.dtype).T @ grad_sl).to(self._dtype)

    def _slope(self, owner: Task, image_RL: Tensor, grad_sl: Tensor, adam: Adam) -> Tensor:
        """⟨gradient, this task's last direction⟩, in the basis that it was made in."""
        if self._directions is None:  # right after a checkpoint was loaded
            self._directions = self._last_directions(adam)
        basis_SR = self.subspaces[owner].basis_SR
        if basis_SR is not self.subspaces[owner].imaging_basis_SR:
            image_RL = self._image(basis_SR, grad_sl)
        return torch.vdot(self._directions[owner].flatten(), image_RL.flatten())

    def _last_directions(self, adam: Adam) -> dict[Part, Tensor]:
        """Adam's, of the subspaces that moved last; it leaves the null space of the longer side, so project again."""
        own = self._projected({part: own.direction(adam) for part, own in self.subspaces.items() if own.moved})
        return dict(zip(own, self._here.join_directions(list(own.values())), strict=True))

    def _projected(self, matrices: dict[Part, Tensor]) -> dict[Part, Tensor]:
        """[R, k] each, inside the null space of the longer side."""
        if self._long is None or not matrices:
            return matrices
        joint_RL = torch.cat(list(matrices.values()))
        self._long.project_(joint_RL.T)
        return self._split(joint_RL, list(matrices))

    def _split(self, joint_RL: Tensor, parts: Sequence[Part]) -> dict[Part, Tensor]:
        ranks = [self.subspaces[part].rank for part in parts]
        return dict(zip(parts, torch.split(joint_RL, ranks), strict=True))

    def _back(self, bases: Sequence[Tensor], directions: dict[Part, Tensor], gates: Gates) -> Tensor:
        """The sum of gate · basis · direction over the subspaces [m, N]."""
        joint_sR = self._here.basis_here(torch.cat(list(bases), 1))
        joint_Rl = torch.cat([direction_Rl * gates.of(part) for part, direction_Rl in directions.items()])
        return joint_Rl.T @ joint_sR.T if self._here.transposed else joint_sR @ joint_Rl

    def _moved(self, owner: Task) -> bool:
        return owner in self.subspaces and self.subspaces[owner].moved

    def _decaying(self) -> Tensor:
        """What weight decay may shrink [m, N]: the weight's part in the null space. The rest stays what it was."""
        weight_mN = self._here.weight_mN.to(self._dtype, copy=True)
        if self._null_space is None:
            return weight_mN
        if self._null_space.side == "output":
            self._null_space.project_(weight_mN)
        else:  # all columns are here
            self._null_space.joined().project_(weight_mN.T)
        return weight_mN

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
        return Subspace(
            (min(self.weight.shape), self._here.moment_columns),
            rank,
            short=self._short,
            dtype=self._dtype,
            draw=generator_for(self._config.seed, "basis", self.name, part, device=self.weight.device),
        )


def _check_width(null_space: NullSpace, name: str, weight: nn.Parameter) -> None:
    width = weight.shape[0 if null_space.side == "output" else 1]
    if null_space.width != width:
        raise NullSpaceError(
            f"the null space of {name} is {null_space.width} wide, its {null_space.side} side {width}: "
            "estimate it on this model"
        )
