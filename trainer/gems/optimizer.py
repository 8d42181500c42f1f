"""GemsOptimizer: gradient multi-subspace tuning of one model for search and recommendation.

After Zhao, Wang, Pan, Verberne, Ren, "Unifying Search and Recommendation in LLMs via Gradient Multi-Subspace Tuning",
arXiv 2601.09496. One step, with the files beside this one that do its parts:

1. `with optimizer.task("search", tokens=n, loss=loss): loss.backward()`, then the same for "recommendation".
   When backward has finished with a weight, a hook (accumulate.py) takes its gradient, projects it on low-rank
   subspaces, and frees it (layer.py, subspace.py), so two layers' complete gradients never exist together. The batch's
   gradient is the token-weighted mean of the two tasks', and projection is linear: one pass for each task gives all
   three projected gradients.
2. Every `refresh_every` steps the hook also adds up thin sketches of the gradients. At the end of that step the next
   bases are chosen from them (subspace.py). The first step is one of these, and itself moves in random subspaces.
3. `step()` checks that losses and gradients are finite; lets the gate learn from how the last update served this
   batch, and decide this step's weights (gate.py); makes an Adam step in every subspace (adam.py); adds up the three
   inside the null space (nullspace/space.py); and adds the result to the weights (numerics.py).

The weights move in `step()` and not inside the last backward pass. Projected gradients are all that the update needs,
Δ = U·Adam(UᵀG), so waiting costs no complete gradient. In return nothing is applied before everything is known to be
finite, clipping and gate see the whole batch, and the sum over ranks happens in one place.

Memory, for a weight of S×L with S ≤ L and ranks r, r/2, r/2: 4·r·L of moments and 2·r·S of bases are kept, and for a
learned gate r·L of the last directions; between the first backward pass and the step there are 2·r·L of projected
gradients.

Of a weight that FSDP2 sharded over P ranks (sharded.py) each has 1/P, and 1/P of gradient, moments, null space and
AdamW's state; bases are complete on each. Projected gradients and directions are sharded where S is the columns; where
S is the rows they are complete on each rank, as every row of the weight takes part in them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from catalog.text.prompts import Task
from trainer.config.gems import GemsConfig
from trainer.core.errors import OptimizerUseError
from trainer.distributed.group import SINGLE_PROCESS, ProcessGroup
from trainer.gems.accumulate import (
    BatchMetrics,
    BatchTotals,
    GradientAccumulator,
    MicroBatch,
    measure_batch,
    total_norms,
)
from trainer.gems.adam import AdamSettings
from trainer.gems.gate import Gate
from trainer.gems.nullspace.space import NullSpace
from trainer.gems.numerics import full_precision
from trainer.gems.parameters import parameter_groups, plain_weights, projected_layers
from trainer.gems.state import check_names
from trainer.gems.stats import Gates, PerTask, StepStats

__all__ = ["GemsOptimizer"]


class GemsOptimizer(Optimizer):
    """A torch optimizer whose gradients come from `task` contexts.

        optimizer = GemsOptimizer(model, GemsConfig(rank=128), null_spaces=spaces)
        with optimizer.task("search", tokens=n_s, loss=loss_s):
            loss_s.backward()
        with optimizer.task("recommendation", tokens=n_r, loss=loss_r):
            loss_r.backward()
        stats = optimizer.step()

    model: its linear layers that `config.modules` names are projected, all other trainable weights get AdamW.
    config: the settings.
    null_spaces: of every projected layer, by name (`estimate_null_spaces` makes them); not needed where
        `config.null_space` is False.
    replica_group: ranks that each hold the whole model. Each passes its part of the batch to the contexts, or none of a
        task; `step` sums the parts, skips on all ranks where one has something that is not finite, and so moves the
        weights alike everywhere.
    shard_group: ranks among which `fully_shard` has split the weights, set to sum gradients, not to average them. All
        open the same contexts, with the tokens and the mean loss of the micro-batch that they share, and each sends
        its part of that mean backward. Pass `replica_group` or `shard_group`, not both.

    Gradient accumulation: before `step`, open as many contexts of either task as there are micro-batches. A batch may
    lack one task; that task's subspaces then stay as they are. Outside of a context the hooks do nothing, so other
    code may use gradients as usual.

    Parameter groups: "projected" (lr), "matrices" and "vectors" (adamw_lr); learning-rate schedulers work on them.
    Weight decay is decoupled. Of a projected weight it shrinks only the part in the null space: shrinking all of it
    would move the weight within the protected space, at every step in the same direction. Vectors do not decay.

    `max_grad_norm` clips by one factor for everything, from the norm over the shared subspaces' projected gradients and
    the gradients of the plain weights. The gate's gradient-norm feature is the Frobenius norm, over all layers, of a
    task's gradient projected on its own subspaces. Both are norms of sums that are linear in the gradient, so
    accumulation and parallel ranks leave them unchanged.

    Raises BackboneError when no layer has the expected names, and SettingsError for a rank that some layer has no room
    for, or for `null_space=True` without a null space for every projected layer.
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
        self._accumulator = GradientAccumulator([*self._layers, *self._plain])
        self._broadcast_bases()
        self._gate = Gate(config)
        self._steps = 0  # applied so far
        self._last_step_size = 0.0  # what the last directions were multiplied by

    @contextmanager
    def task(self, task: Task, *, tokens: int, loss: Tensor | float | None = None) -> Iterator[None]:
        """A context for one backward pass, on the mean loss of `tokens` target tokens of one task.

        loss: that mean. Without it the gate takes the two losses as equal, and a loss that is not finite is noticed
            by its gradient only.

        Raises OptimizerUseError where the call has no meaning, such as without a backward pass.
        """
        adam = self._adam() if self._gate.learns else None
        with self._accumulator.micro_batch(MicroBatch(task, tokens, self._steps, adam), loss):
            yield

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> StepStats:  # type: ignore[override]
        """Updates every weight from the gradients of the contexts since the last step."""
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
        if any(refreshed):
            self._broadcast_bases()
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

    def close(self) -> None:
        """Removes the hooks from the model."""
        self._accumulator.close()

    def state_dict(self) -> dict[str, Any]:
        """Nested dictionaries of plain values and tensors, the live ones and not copies. Call it between two steps."""
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
                step=self._steps,
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
                seed=self.config.seed,
                step=self._steps,
            )
        return total_norms([changes], self._shard_group)[0]

    def _broadcast_bases(self) -> None:
        """Singular vectors may differ in sign between machines; gradients in different bases cannot be added."""
        for group in (self._replica_group, self._shard_group):
            group.broadcast([basis for layer in self._layers for basis in layer.bases()])

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
