"""GemsOptimizer: gradient multi-subspace tuning of one model for search and recommendation.

After Zhao, Wang, Pan, Verberne, Ren, "Unifying Search and Recommendation in LLMs via Gradient Multi-Subspace Tuning",
arXiv 2601.09496. One step, with the files beside this one that do its parts:

1. The caller runs `with optimizer.task("search", tokens=n, loss=loss): loss.backward()`, and then the same for
   "recommendation". When backward comes to a linear layer, its weight's gradient is projected on low-rank subspaces
   (accumulate.py, layer, subspace.py), in most models without being computed: the gradient is the product of the
   gradients of the layer's outputs and of its inputs, and so products with the bases need those two only. Where it is
   computed it is freed at once, so two layers' complete gradients never exist together.
   There are three subspaces: one for each task's gradient, and a shared one for the batch's, which is the
   token-weighted mean of the two. Projection is linear, so one pass for each task gives all three projected gradients.
2. Every `refresh_every` steps thin sketches of a layer's gradients are added up too. At the end of that step the
   layer's next bases are chosen from them (subspace.py). The layers take turns in `refresh_turns` consecutive steps, so
   that few sketches exist at once. The first step has the first turn; until its turn a layer's subspaces are random.
3. `step()` checks that losses and gradients are finite. The gate learns from how well the last update served this
   batch, and decides the weights of this step's three updates (gate.py). Adam makes a step in every subspace (adam.py).
   The weighted sum of the three, inside the null space (nullspace/space.py), is added to the weights (numerics.py).

The weights move in `step()` and not during the backward pass. The update Δ = U·Adam(Uᵀ·G) needs projected gradients
only, so waiting keeps no complete gradient in memory. In return nothing is applied before everything is known to be
finite, clipping and the gate take the whole batch into account, and the sum over ranks happens in one place.

Memory, for a weight of S×L with S ≤ L and ranks r, r/2, r/2: the optimiser keeps 2·r·L numbers of the first moment in
bfloat16, 2·r·S of bases, and a row and a column of the second moment (adam.py). From the first backward pass to the
step there are also 2·r·L numbers of projected gradients. A bfloat16 weight has a remainder of 16 bits (numerics.py)
beside every number. `GemsOptimizer.memory` says how many bytes there are.

If FSDP2 shards a weight over P ranks (sharded.py), its gradient is computed, and each rank has 1/P of the weight, its
gradient, its moments, its null space and AdamW's state, and complete bases. Projected gradients and directions are
sharded if S is the columns; if S is the rows they are complete on each rank, because every row of the weight
contributes to them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from catalog.text.prompts import Task
from trainer.config.gems import GemsConfig
from trainer.core.errors import OptimizerUseError
from trainer.distributed.group import SINGLE_PROCESS, ProcessGroup
from trainer.gems.accumulate import GradientAccumulator, MicroBatch
from trainer.gems.adam import AdamSettings, PlainWeight
from trainer.gems.batch import BatchMetrics, BatchTotals, measure_batch, total_norms
from trainer.gems.gate import Gate
from trainer.gems.layer import InterceptedLinear, ProjectedLayer
from trainer.gems.nullspace.space import NullSpace
from trainer.gems.numerics import full_precision
from trainer.gems.parameters import parameter_groups, plain_weights, projected_layers
from trainer.gems.state import check_names
from trainer.gems.stats import Gates, PerTask, StepStats

__all__ = ["GemsOptimizer"]


class GemsOptimizer(Optimizer):
    """A torch optimizer that takes its gradients inside `task` contexts.

        optimizer = GemsOptimizer(model, GemsConfig(rank=128), null_spaces=spaces)
        with optimizer.task("search", tokens=n_s, loss=loss_s):
            loss_s.backward()
        with optimizer.task("recommendation", tokens=n_r, loss=loss_r):
            loss_r.backward()
        stats = optimizer.step()

    model: the model to train. Those of its linear layers that `config.modules` names are projected; all other trainable
        weights are updated by AdamW.
    config: the settings.
    null_spaces: the null space of every projected layer by its name, as `estimate_null_spaces` makes them; not needed
        where `config.null_space` is False.
    replica_group: ranks that each hold the whole model. Each opens contexts for its part of the batch, which may lack a
        task. `step` sums the parts, so that all ranks move the weights alike; if anything is not finite on one rank,
        all ranks skip the step.
    shard_group: ranks among which `fully_shard` has split the weights, set to sum gradients and not to average them.
        All open the same contexts, with the tokens and the mean loss of the micro-batch that they share, and each sends
        its part of that mean backward. Pass `replica_group` or `shard_group`, not both.

    Gradient accumulation: before `step`, open one context for each micro-batch of either task. If a batch lacks one
    task, that task's subspaces stay as they are. Outside of a context nothing is taken, so other code may use
    gradients as usual. Inside, every backward pass counts as one for all weights.

    Parameter groups: "projected" with the learning rate `lr`, "matrices" and "vectors" with `adamw_lr`. Learning-rate
    schedulers work on them. Weight decay is decoupled, and vectors do not decay. A projected weight decays only in its
    null space, because otherwise it would move within the protected space, at every step in the same direction.

    `max_grad_norm` clips by one factor for everything. The norm is taken over the gradients projected on the shared
    subspaces and the gradients of the plain weights together. The gate takes as a feature the Frobenius norm, over all
    layers, of each task's gradient projected on the task's own subspaces. Both are norms of sums over the whole batch,
    so they do not depend on how it is split into micro-batches and among ranks.

    Raises BackboneError if no layer has one of the expected names, and SettingsError for a rank above the number of
    directions that a layer has, or if `config.null_space` is True and a projected layer has no null space.
    """

    def __init__(
        self,
        model: nn.Module,
        config: GemsConfig,
        *,
        null_spaces: Mapping[str, NullSpace] | None = None,
        replica_group: ProcessGroup = SINGLE_PROCESS,
        shard_group: ProcessGroup = SINGLE_PROCESS,
    ) -> None:
        self.config = config
        self._replica_group, self._shard_group = replica_group, shard_group
        with full_precision():
            self._layers = projected_layers(model, config, null_spaces, shard_group)
        self._plain = plain_weights(model, {layer.weight for layer in self._layers}, config, shard_group)
        super().__init__(parameter_groups(self._layers, self._plain, config), {})
        modules = {name: module for name, module in model.named_modules() if InterceptedLinear.possible(module)}
        self._accumulator = GradientAccumulator([*self._layers, *self._plain], modules)
        self._broadcast_bases(self._layers)
        self._gate = Gate(config)
        self._steps = 0  # applied so far
        self._last_step_size = 0.0  # what the last directions were multiplied by

    @contextmanager
    def task(self, task: Task, *, tokens: int, loss: Tensor | float | None = None) -> Iterator[None]:
        """A context for one backward pass, on the mean loss of one task's micro-batch.

        tokens: how many target tokens the loss is a mean over; the gradient is weighted by it.
        loss: the loss. Without it the gate takes the two tasks' losses as equal, and a loss that is not finite is
            noticed by its gradient only.

        Raises OptimizerUseError for an unknown task, no target tokens, a context inside another one, gradients left
        from before, or no backward pass inside.
        """
        adam = self._adam() if self._gate.learns else None
        with self._accumulator.micro_batch(MicroBatch(task, tokens, self._steps, adam), loss):
            yield

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> StepStats:  # type: ignore[override]
        """Updates every weight from the gradients of all contexts since the last step.

        If a loss or a gradient is not finite, it changes nothing and drops the gradients. Raises OptimizerUseError
        where there are no gradients.
        """
        if closure is not None:
            raise OptimizerUseError("GemsOptimizer.step takes no closure: it could not tell the tasks apart in one")
        batch = self._accumulator.all_reduce(self._replica_group, self._shard_group)
        with full_precision():
            for layer in self._layers:
                layer.average_projected(batch.tokens_per_task)
            metrics = measure_batch(batch, self._layers, self._plain, self._last_step_size, self._shard_group)
            if not metrics.finite():
                self.discard()
                return self._stats(batch, metrics)
            self._gate.learn(metrics.hypergradient)
            temperature = self._gate.temperature(self._steps)
            losses = metrics.losses or PerTask(0, 0)
            gates = self._gate.decide(self._steps, losses, metrics.grad_norms, batch.tokens_per_task)
            update_norm = self._update(gates, batch.total_tokens, metrics.grad_norm)
            refreshed = [layer.choose_bases(self._steps) for layer in self._layers]
        self._broadcast_bases([layer for layer, chosen in zip(self._layers, refreshed, strict=True) if chosen])
        self._steps += 1
        self.discard()
        return self._stats(batch, metrics, gates, temperature, update_norm, any(refreshed))

    def discard(self) -> None:
        """Drops the gradients since the last step."""
        self._accumulator.discard()

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Drops the gradients since the last step, and those in `.grad`."""
        self.discard()
        super().zero_grad(set_to_none)

    def memory(self) -> dict[str, int]:
        """How many bytes the optimiser holds now, by part; what layers share counts once.

        "projected gradients" and "sketches" are there from a backward pass to the step, "next bases" from a choice to
        the next step. "other weights" is AdamW's state of what is not projected.
        """
        parts: dict[str, dict[int, int]] = {}
        trained_weights: list[ProjectedLayer | PlainWeight] = [*self._layers, *self._plain]
        for trained in trained_weights:
            for part, tensor in trained.held():
                storage = tensor.untyped_storage()
                parts.setdefault(part, {})[storage.data_ptr()] = storage.nbytes()
        return {part: sum(sizes.values()) for part, sizes in parts.items()}

    def close(self) -> None:
        """Takes no more gradients from the model, whose layers are what they were before."""
        self._accumulator.close()

    def state_dict(self) -> dict[str, Any]:
        """The state as nested dictionaries of plain values and tensors, which are the live ones and not copies.

        Raises OptimizerUseError in the middle of a batch.
        """
        if self._accumulator.batch.gradients:
            raise OptimizerUseError("state_dict() in the middle of a batch: call step() or zero_grad() first")
        return {
            "steps": self._steps,
            "last_step_size": self._last_step_size,
            "param_groups": [{k: v for k, v in group.items() if k != "params"} for group in self.param_groups],
            "layers": {layer.name: layer.state_dict() for layer in self._layers},
            "plain": {plain.name: plain.state_dict() for plain in self._plain},
            "gate": self._gate.state_dict(),
        }

    @torch.no_grad()
    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continues from where `state_dict` was called, bit for bit on the same device.

        Raises CheckpointError when the state is of another model or other ranks.
        """
        self.discard()
        check_names(state_dict["layers"], [layer.name for layer in self._layers], "projected layers")
        check_names(state_dict["plain"], [plain.name for plain in self._plain], "other weights")
        for layer in self._layers:
            layer.load_state_dict(state_dict["layers"][layer.name])
        for plain in self._plain:
            plain.load_state_dict(state_dict["plain"][plain.name])
        self._gate.load_state_dict(state_dict["gate"])
        for group, saved in zip(self.param_groups, state_dict["param_groups"], strict=True):
            group.update(saved | {"betas": tuple(saved["betas"])})
        self._steps = int(state_dict["steps"])
        self._last_step_size = float(state_dict["last_step_size"])

    def _update(self, gates: Gates, tokens: int, grad_norm: float) -> float:
        """Moves every weight; returns the norm of the projected weights' change."""
        limit = self.config.max_grad_norm
        factor = 1.0 if limit is None or grad_norm <= limit else limit / grad_norm
        projected, *others = self.param_groups
        self._last_step_size = projected["lr"] * self.config.scale
        changes = [
            layer.update(
                gates,
                factor=factor,
                step_size=self._last_step_size,
                decay=projected["lr"] * projected["weight_decay"],
                adam=self._adam(),
            )
            for layer in self._layers
        ]
        groups = {weight: group for group in others for weight in group["params"]}
        for plain in self._plain:
            group = groups[plain.weight]
            plain.update(
                lr=group["lr"],
                adam=AdamSettings(group["betas"], group["eps"]),
                weight_decay=group["weight_decay"],
                factor=factor / tokens,
            )
        return total_norms([changes], self._shard_group)[0]

    def _broadcast_bases(self, layers: Sequence[ProjectedLayer]) -> None:
        """Gives all ranks the bases of rank 0 in these layers.

        Singular vectors may differ in sign between machines, and gradients in different bases cannot be added.
        """
        for group in (self._replica_group, self._shard_group):
            group.broadcast([basis for layer in layers for basis in layer.bases()])

    def _adam(self) -> AdamSettings:
        group = self.param_groups[0]
        return AdamSettings(group["betas"], group["eps"])

    def _stats(
        self,
        batch: BatchTotals,
        metrics: BatchMetrics,
        gates: Gates | None = None,
        temperature: float | None = None,
        update_norm: float = 0.0,
        refreshed: bool = False,
    ) -> StepStats:
        return StepStats(
            step=self._steps,
            applied=gates is not None,
            gates=gates or Gates(0.0, 0.0, 0.0),
            temperature=temperature,
            tokens=batch.tokens_per_task,
            losses=metrics.losses,
            grad_norms=metrics.grad_norms if self.config.decomposition else None,
            grad_norm=metrics.grad_norm,
            update_norm=update_norm,
            hypergradient=metrics.hypergradient,
            refreshed=refreshed,
        )
