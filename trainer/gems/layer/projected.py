"""One projected weight: reduces its gradients to low-rank projections, and builds its update from low-rank directions.

The bases lie on the weight's shorter side; a weight with more rows than columns is handled through its transpose. A
null space lies on the side of the weight's rows ("output") or of its columns ("input"); null_space.py says how updates
are kept inside it. If the weight is sharded, this module works on the rows that this rank holds, and sharded.py sums
and gathers.

M, N rows and columns of the weight; S, L its shorter and longer side; R rank; C columns of the sketch. Small letters
are this rank's part of a sharded weight.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from catalog.text.prompts import TASKS, Task
from trainer.config.gems import GemsConfig
from trainer.core.errors import BackboneError
from trainer.distributed.group import SINGLE_PROCESS, ProcessGroup
from trainer.gems.adam import AdamSettings
from trainer.gems.layer.gradient import CompleteGradient, FactoredGradient, Gradient, factors_are_cheaper
from trainer.gems.layer.null_space import LayerNullSpace
from trainer.gems.layer.ranks import ranks_of
from trainer.gems.layer.sharded import ShardedWeight
from trainer.gems.nullspace.space import NullSpace
from trainer.gems.numerics import add_exactly_, compute_dtype, exact_value, generator_for, make_remainder
from trainer.gems.state import check_names, restore_remainder_
from trainer.gems.stats import Gates, PerTask, SubspaceName
from trainer.gems.subspace import Subspace

__all__ = ["ProjectedLayer"]

_Name = TypeVar("_Name", bound=SubspaceName)


class ProjectedLayer:
    """The subspaces of one weight, and what the backward passes of the current batch have accumulated in them.

    name: the layer's name in the model, without ".weight".
    weight: the layer's weight [M, N]: float32, float64 or bfloat16.
    config: the optimiser's settings.
    null_space: the layer's null space; None lets updates go in any direction.
    shard_group: the ranks among which a sharded weight is split.
    first_refresh: after how many applied steps a gradient may choose bases for the first time; until then they are
        random.

    Raises SettingsError for a rank above the number of directions that the layer has, NullSpaceError for a null space
    of another width than the layer's, and BackboneError for a weight of another type.
    """

    def __init__(
        self,
        name: str,
        weight: nn.Parameter,
        config: GemsConfig,
        null_space: NullSpace | None,
        shard_group: ProcessGroup = SINGLE_PROCESS,
        *,
        first_refresh: int = 0,
    ) -> None:
        self.name, self.weight = name, weight
        self._first_refresh = first_refresh
        self._shard = ShardedWeight(weight, shard_group)
        self._config = config
        if weight.dtype not in (torch.float32, torch.float64, torch.bfloat16):
            raise BackboneError(f"{name} is {weight.dtype}: load the model in float32 or bfloat16")
        self._dtype = compute_dtype(weight)
        self._remainder_mN = make_remainder(self._shard.weight_mN)
        if null_space is not None and config.null_factors == "bfloat16" and self._dtype == torch.float32:
            null_space = null_space.rounded()
        self._null_space = LayerNullSpace.of(null_space, name, weight, self._shard, self._dtype)

        short = self._null_space.short
        room = min(weight.shape) if short is None else short.free
        ranks = ranks_of(config, name, weight.shape, room=room, protected=short is not None)
        self._sketch_columns = min(room, max(ranks.values()) + config.oversampling)
        self.subspaces: dict[SubspaceName, Subspace] = {}
        for subspace, rank in ranks.items():  # the shared one first
            self.subspaces[subspace] = self._make_subspace(subspace, rank)
        self.sketches: dict[Task, Tensor] = {}  # in refresh steps: tokens · gradient · Ω, summed over micro-batches

    def take_gradient(self) -> Gradient:
        """This rank's part of the weight's `.grad`, which is removed from the weight."""
        return CompleteGradient(self._shard.take_gradient())

    def gradient_of(self, outputs_TM: Tensor, inputs_TN: Tensor) -> Gradient:
        """The gradient of a whole weight from the gradients of the layer's outputs and from its inputs."""
        short_TS, long_TL = (inputs_TN, outputs_TM) if self._shard.transposed else (outputs_TM, inputs_TN)
        columns = sum(subspace.rank for subspace in self.subspaces.values())
        if factors_are_cheaper(len(inputs_TN), short_TS.shape[1], long_TL.shape[1], columns):
            return FactoredGradient(short_TS, long_TL)
        return CompleteGradient(short_TS.T @ long_TL)

    def accumulate(
        self, task: Task, gradient: Gradient, *, tokens: int, step: int, adam: AdamSettings | None
    ) -> dict[Task, Tensor]:
        """Projects a gradient of the weight, and adds the projections to the batch's.

        task: the task whose loss the gradient is of.
        tokens: how many target tokens that loss is a mean over; the projections are weighted by it.
        step: steps applied so far.
        adam: Adam's settings; None where no directional derivatives are wanted.

        Returns the directional derivative ⟨gradient, last direction⟩, a scalar, for each task whose subspace the last
        step updated; an empty dictionary without `adam`.
        """
        own = self._names_of(task)
        updated = [] if adam is None else [other for other in TASKS if self._was_updated(other)]
        projected = self._project([*own, *(other for other in updated if other not in own)], gradient)
        for name in own:
            self.subspaces[name].accumulate(projected[name], tokens=tokens)
        derivatives: dict[Task, Tensor] = {}
        if adam is not None:
            for other, direction_Rl in self._last_directions(updated, adam).items():
                derivatives[other] = self._directional_derivative(other, projected[other], gradient, direction_Rl)
        if self._refresh_due(task, step):
            sketch_sC = gradient.times(self._test_matrix(step).to(gradient.dtype)).to(self._dtype).mul_(tokens)
            self.sketches[task] = self.sketches[task] + sketch_sC if task in self.sketches else sketch_sC
        return derivatives

    def average_projected(self, tokens: PerTask) -> None:
        """Turns the accumulated sums into means, and projects these on the null space.

        tokens: target tokens of each task. The shared subspace has the mean over all of them, a task's own subspace the
            mean over that task's.
        """
        projected: dict[SubspaceName, Tensor] = {}
        for name, subspace in self.subspaces.items():
            subspace.widen_gradient()
            count = tokens.total if name == "shared" else tokens.of(name)
            if subspace.projected_grad_RL is not None:
                projected[name] = subspace.projected_grad_RL.mul_(1 / count if count else 0)
        projected = dict(zip(projected, self._shard.reduce_projected(list(projected.values())), strict=True))
        for name, grad_RL in self._into_long_null_space(projected).items():
            self.subspaces[name].projected_grad_RL = grad_RL

    def update(
        self, gates: Gates, *, factor: float, step_size: float, decay: float, adam: AdamSettings
    ) -> Tensor | None:
        """Moves the weight by -step_size · Σ gate · basis · direction - decay · (the weight's part in the null space).

        gates: the weight of each subspace's update.
        factor: what the projected gradients are multiplied by before Adam takes them, for clipping.
        step_size: what the directions are multiplied by, apart from the gates.
        decay: how much of the weight's part in the null space is taken away; 0 for no weight decay.
        adam: Adam's settings.

        The projected gradients are dropped. Returns the Frobenius norm of the change, a scalar, or None where no
        gradient arrived and nothing was changed.
        """
        at_refresh = self._config.moments_at_refresh
        updated = [name for name, own in self.subspaces.items() if own.update_moments(factor, adam, at_refresh)]
        if not updated:
            return None
        directions = self._last_directions(updated, adam)
        change_mN = self._combine([self.subspaces[name].basis_SR for name in updated], directions, gates)
        change_mN.mul_(-step_size)
        if decay:
            change_mN.add_(self._null_space.part_of(self.exact_weight()), alpha=-decay)
        add_exactly_(self._shard.weight_mN, self._remainder_mN, change_mN)
        norm: Tensor = torch.linalg.vector_norm(change_mN)
        return norm

    def choose_bases(self, step: int) -> bool:
        """Chooses the next bases from this batch's sketches, and drops the sketches. Returns whether there were any.

        Complementary bases of the tasks change whenever the shared one does: they are chosen with it, or, for a task
        that the batch lacks, moved outside of it.
        """
        sketches = {task: self._shard.gather_sketch(sketch_sC) for task, sketch_sC in self.sketches.items()}
        self.sketches = {}
        moved = False  # whether the tasks' bases must leave a new shared one
        for name, subspace in self.subspaces.items():
            own = [sketch_SC for task, sketch_SC in sketches.items() if name in ("shared", task)]
            generator = generator_for(self._config.seed, "fill", self.name, name, step, device=self.weight.device)
            outside_SR = self._basis_to_avoid(name)
            if own and (moved or subspace.refresh_due(step, self._config.refresh_every)):
                subspace.choose_basis(torch.stack(own).sum(0), step, generator, outside_SR)
                moved = moved or (name == "shared" and self._config.complementary)
            elif moved and outside_SR is not None:
                subspace.move_outside(outside_SR, generator)
        return bool(sketches)

    def share_null_space(self, others: Iterable[ProjectedLayer]) -> None:
        """Takes over the null space of another layer that has the same one, so that it is in memory once.

        Layers that read the same input have the same null space of their inputs.
        """
        for other in others:
            if (shared := self._null_space.shared_with(other._null_space)) is not None:
                self._null_space = shared
                for subspace in self.subspaces.values():
                    subspace.null_space = shared.short
                return

    def exact_weight(self) -> Tensor:
        """A copy of this rank's rows [m, N] of the weight before it is rounded to bfloat16, in the compute type."""
        return exact_value(self._shard.weight_mN, self._remainder_mN)

    def accumulators(self) -> list[Tensor | None]:
        """The projected gradient of every subspace, then the sketch of every task, always in the same order.

        An entry is None where no gradient arrived for it. Projected gradients are in the compute type from now on, in
        which they can be added up.
        """
        for subspace in self.subspaces.values():
            subspace.widen_gradient()
        projected = [subspace.projected_grad_RL for subspace in self.subspaces.values()]
        return [*projected, *(self.sketches.get(task) for task in TASKS)]

    def fill_missing(self, present: Sequence[bool]) -> None:
        """Fills in zeros for accumulators that this rank lacks and another rank has.

        present: for each of `accumulators()`, in their order, whether any rank has it.
        """
        length, size = self._shard.projected_columns, self._shard.sketch_rows
        wanted = iter(present)
        for subspace in self.subspaces.values():
            if next(wanted) and subspace.projected_grad_RL is None:
                shape = (subspace.rank, length)
                subspace.projected_grad_RL = torch.zeros(shape, dtype=self._dtype, device=self.weight.device)
        for task in TASKS:
            if next(wanted) and task not in self.sketches:
                shape = (size, self._sketch_columns)
                self.sketches[task] = torch.zeros(shape, dtype=self._dtype, device=self.weight.device)

    def bases(self) -> list[Tensor]:
        """The bases [S, R] on which the next gradients are projected, as they are in memory."""
        return [subspace.kept_basis_SR for subspace in self.subspaces.values()]

    def discard(self) -> None:
        """Drops what the current batch has accumulated so far."""
        self.sketches = {}
        for subspace in self.subspaces.values():
            subspace.projected_grad_RL = None

    def held(self) -> Iterator[tuple[str, Tensor]]:
        """Every tensor that the layer holds beside the weight, each with the name of the part of memory it belongs to.

        Layers may share tensors.
        """
        for subspace in self.subspaces.values():
            yield from subspace.held()
        yield from (("sketches", sketch_sC) for sketch_sC in self.sketches.values())
        yield from self._null_space.held()
        if self._remainder_mN is not None:
            yield "remainders", self._remainder_mN

    def state_dict(self) -> dict[str, Any]:
        subspaces = {name: subspace.state_dict() for name, subspace in self.subspaces.items()}
        return {"subspaces": subspaces, "remainder": self._remainder_mN}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        check_names(state["subspaces"], self.subspaces, f"subspaces of {self.name}")
        for name, subspace in self.subspaces.items():
            subspace.load_state_dict(state["subspaces"][name], f"{self.name} ({name})")
        restore_remainder_(self._remainder_mN, state["remainder"], self.name)

    def _refresh_due(self, task: Task, step: int) -> bool:
        return step >= self._first_refresh and any(
            self.subspaces[name].refresh_due(step, self._config.refresh_every) for name in self._names_of(task)
        )

    def _names_of(self, task: Task) -> list[SubspaceName]:
        """The subspaces that a task's gradients are projected on."""
        return [name for name in self.subspaces if name in ("shared", task)]

    def _test_matrix(self, step: int) -> Tensor:
        """The sketch's random test matrix Ω [l, C], which all parts of a step's gradient share.

        It is drawn anew for each part, so that it takes no memory between them.
        """
        generator = generator_for(self._config.seed, "sketch", self.name, step, device=self.weight.device)
        shape = (max(self.weight.shape), self._sketch_columns)
        omega_LC = torch.randn(shape, dtype=self._dtype, device=generator.device, generator=generator)
        if self._null_space.long is not None:
            omega_LC = self._null_space.long.projected(omega_LC)
        return self._shard.local_test_matrix(omega_LC)

    def _project(self, names: Sequence[SubspaceName], gradient: Gradient) -> dict[SubspaceName, Tensor]:
        """The products basisᵀ · gradient [R, l] of several subspaces, computed as one."""
        joint_SR = torch.cat([self.subspaces[name].projection_basis_SR for name in names], 1)
        return self._split(self._project_on(joint_SR, gradient), names)

    def _project_on(self, basis_SR: Tensor, gradient: Gradient) -> Tensor:
        """The product basisᵀ · gradient [R, l] in the compute type.

        It is multiplied in the gradient's own type, which is faster for bfloat16.
        """
        return gradient.projected(self._shard.local_basis(basis_SR).to(gradient.dtype)).to(self._dtype)

    def _directional_derivative(
        self, task: Task, projected_RL: Tensor, gradient: Gradient, direction_Rl: Tensor
    ) -> Tensor:
        """⟨gradient, the task's last direction⟩, a scalar, computed in the basis that the direction was made in."""
        if self.subspaces[task].has_next_basis:
            projected_RL = self._project_on(self.subspaces[task].basis_SR, gradient)
        return torch.vdot(direction_Rl.flatten(), projected_RL.flatten())

    def _last_directions(self, names: Sequence[_Name], adam: AdamSettings) -> dict[_Name, Tensor]:
        """Adam's directions [R, l], inside the null space, of subspaces that the last step updated.

        They are computed from the moments whenever they are needed, as keeping them would take half as much memory as
        the tasks' moments.
        """
        inside = self._into_long_null_space({name: self.subspaces[name].direction(adam) for name in names})
        return dict(zip(inside, self._shard.gather_directions(list(inside.values())), strict=True))

    def _into_long_null_space(self, matrices: dict[_Name, Tensor]) -> dict[_Name, Tensor]:
        """The matrices [R, k] with their rows projected on the longer side's null space, if there is one."""
        if self._null_space.long is None or not matrices:
            return matrices
        joint_RL = torch.cat(list(matrices.values()))
        self._null_space.long.project_(joint_RL.T)
        return self._split(joint_RL, list(matrices))

    def _split(self, joint_RL: Tensor, names: Sequence[_Name]) -> dict[_Name, Tensor]:
        ranks = [self.subspaces[name].rank for name in names]
        return dict(zip(names, torch.split(joint_RL, ranks), strict=True))

    def _combine(self, bases: Sequence[Tensor], directions: dict[SubspaceName, Tensor], gates: Gates) -> Tensor:
        """The sum of gate · basis · direction over the subspaces, [m, N]."""
        joint_sR = self._shard.local_basis(torch.cat(list(bases), 1))
        joint_Rl = torch.cat([direction_Rl * gates.of(name) for name, direction_Rl in directions.items()])
        return joint_Rl.T @ joint_sR.T if self._shard.transposed else joint_sR @ joint_Rl

    def _was_updated(self, task: Task) -> bool:
        return task in self.subspaces and self.subspaces[task].updated

    def _basis_to_avoid(self, name: SubspaceName) -> Tensor | None:
        """The shared basis for the next gradients, if this subspace's must be orthogonal to it, and None if not."""
        if name == "shared" or not self._config.complementary:
            return None
        return self.subspaces["shared"].projection_basis_SR

    def _make_subspace(self, name: SubspaceName, rank: int) -> Subspace:
        wide = self._dtype == torch.float64  # of which nothing is rounded
        types = {"bfloat16": self._dtype if wide else torch.bfloat16, "float32": self._dtype}
        return Subspace(
            min(self.weight.shape),
            self._shard.moment_columns,
            rank,
            compact=self._config.moments == "compact" and not wide,
            gradient_dtype=types[self._config.projected_gradients],
            basis_dtype=types[self._config.bases],
            null_space=self._null_space.short,
            dtype=self._dtype,
            generator=generator_for(self._config.seed, "basis", self.name, name, device=self.weight.device),
            outside_SR=self._basis_to_avoid(name),
        )
