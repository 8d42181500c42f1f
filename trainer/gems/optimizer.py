"""GemsOptimizer: gradient multi-subspace tuning of one model for search and recommendation.

After Zhao, Wang, Pan, Verberne, Ren, "Unifying Search and Recommendation in LLMs via Gradient Multi-Subspace Tuning",
arXiv 2601.09496. One step goes like this, files beside this one:

1. `with optimizer.task("search", tokens=n, loss=loss): loss.backward()`, then the same for "recommendation".
   When backward has finished with a weight, a hook (intake.py) takes its gradient, keeps low-rank images of it, and
   frees it (layer.py, subspace.py), so two layers' full gradients never need to exist together. The batch's gradient
   is the token-weighted mean of the two tasks', and images are linear: passes over the two halves give all three.
2. Every `refresh_every` steps the hook also adds up thin sketches of the gradients. At the end of that step the next
   bases come from them (basis.py). The first step is one of these, and itself moves in random subspaces.
3. `step()` checks that losses and gradients are finite; lets the gate learn from how the last update served this
   batch, and asks it for this step's weights (gate.py); makes an Adam step in every subspace (adam.py); puts the
   three together inside the null space (nullspace/space.py); adds the result to the weights (precision.py).

Why the weights move in `step()` and not inside the last backward pass: images are all that the update needs,
Δ = U·Adam(UᵀG), so waiting costs no full gradient. It means that nothing is applied before everything is known to be
finite, that clipping and gate see the whole batch, and that a sum over processes has one place (reduction.py).

Memory, for a weight of S×L with S ≤ L and ranks r, r/2, r/2: 4·r·L of moments and 2·r·S of bases are kept, and for a
learned gate r·L of the last directions; between the first backward pass and the step there are 2·r·L of images.

Of a weight that FSDP2 divided among P processes (sharded.py) each has 1/P, and 1/P of gradient, moments, null space and
what AdamW keeps; bases are whole in each. Images and directions are divided where S is the columns; where S is the rows
they are whole in each, as every row of the weight takes part in them.
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
from trainer.distributed.group import ALONE, ProcessGroup
from trainer.gems.adam import Adam
from trainer.gems.batch import Batch, Measured, measure, total_norms
from trainer.gems.gate import Gate
from trainer.gems.intake import Intake, MicroBatch
from trainer.gems.nullspace.space import NullSpace
from trainer.gems.parameters import parameter_groups, plain_weights, projected_layers
from trainer.gems.precision import full_precision
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

    Gradient accumulation: before `step` open as many contexts of either task as there are micro-batches. A batch may
    lack one task: that task's subspaces then stay as they are. Outside of a context the hooks do nothing, so other
    code may use gradients as usual.

    Parameter groups: "projected" (lr), "matrices" and "vectors" (adamw_lr); learning-rate schedulers work on them.
    Weight decay is decoupled. Of a projected weight it shrinks only the part in the null space: shrinking all of it
    would move the weight within the protected space, at every step in the same direction. Vectors do not decay.

    `max_grad_norm` clips by one factor for everything, from the norm over the shared subspaces' images and the
    gradients of the weights that are not projected. The gate's gradient-norm feature is the Frobenius norm, over all
    layers, of a task's gradient in its own subspaces. Both are norms of sums that are linear in the gradient, so
    accumulation and parallel processes leave them unchanged.

    Raises BackboneError when no layer has the expected names, SettingsError for a rank some layer has no room for,
    or for `null_space=True` without a null space for every projected layer (`estimate_null_spaces` makes them).

    With several `processes`, each gives the contexts its share of the batch, or none of a task; `step` sums them, skips
    in all where one has something that is not finite, and so moves the weights alike everywhere.

    With several `shards`, `fully_shard` has divided the model's weights among them, set to sum gradients, not to
    average them. All open the same contexts, with the tokens and the mean loss of the micro-batch that they share, and
    send backward each its part of that mean. Give `processes` or `shards`, not both.
    """

    def __init__(
        self,
        model: nn.Module,
        config: GemsConfig,
        *,
        null_spaces: Mapping[str, NullSpace] | None = None,
        processes: ProcessGroup = ALONE,
        shards: ProcessGroup = ALONE,
    ) -> None:
        self.config = config
        self._processes, self._shards = processes, shards
        with full_precision():
            self._layers = projected_layers(model, config, null_spaces, shards)
        self._plain = plain_weights(model, {layer.weight for layer in self._layers}, config, shards)
        super().__init__(parameter_groups(self._layers, self._plain, config), {})
        self._intake = Intake([*self._layers, *self._plain])
        self._share_bases()
        self._gate = Gate(config)
        self._steps = 0  # applied so far
        self._last_rate = 0.0  # what the last directions were multiplied by

    @contextmanager
    def task(self, task: Task, *, tokens: int, loss: Tensor | float | None = None) -> Iterator[None]:
        """Within it, run backward on the mean loss of `tokens` target tokens of one task.

        `loss` is that mean. Without it the gate takes the two losses as equal, and a loss that is not finite is noticed
        by its gradient only. Raises OptimizerUseError where the call has no meaning, such as without a backward pass.
        """
        probe = self._adam() if self._gate.learns else None
        with self._intake.taking(MicroBatch(task, tokens, self._steps, probe), loss):
            yield

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> StepStats:  # type: ignore[override]
        """Updates every weight from the gradients of the contexts since the last step."""
        if closure is not None:
            raise OptimizerUseError("GemsOptimizer.step takes no closure: it could not tell the tasks apart in one")
        batch = self._intake.complete(self._processes, self._shards)
        with full_precision():
            for layer in self._layers:
                layer.finish_images(batch.counts)
            measured = measure(batch, self._layers, self._plain, self._last_rate, self._shards)
            if not measured.finite():
                self.discard()
                return self._stats(batch, measured)
            self._gate.learn(measured.hypergradient)
            temperature = self._gate.temperature(self._steps)
            losses = measured.losses or PerTask(0, 0)
            gates = self._gate.decide(self._steps, losses, measured.grad_norms, batch.counts)
            update_norm = self._update(gates, batch.total, measured.grad_norm)
            refreshed = [layer.choose_bases(self._steps) for layer in self._layers]
        if any(refreshed):
            self._share_bases()
        self._steps += 1
        self._intake.discard()
        return self._stats(batch, measured, gates, temperature, update_norm, any(refreshed))

    def accumulators(self) -> Iterator[Tensor]:
        """All tensors that the backward passes left here, as sums weighted by tokens and linear in the gradient."""
        yield from self._intake.accumulators()

    def discard(self) -> None:
        """Forgets the gradients since the last step."""
        self._intake.discard()

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forgets the gradients since the last step, and what is in `.grad`."""
        self.discard()
        super().zero_grad(set_to_none)

    def close(self) -> None:
        """Takes the hooks off the model."""
        self._intake.close()

    def state_dict(self) -> dict[str, Any]:
        """Nested dictionaries of tensors (the live ones, not copies) and plain values, for use between two steps."""
        if self._intake.batch.gradients:
            raise OptimizerUseError("state_dict() in the middle of a batch: call step() or zero_grad() first")
        return {
            "steps": self._steps,
            "last_rate": self._last_rate,
            "param_groups": [{k: v for k, v in group.items() if k != "params"} for group in self.param_groups],
            "layers": {layer.name: layer.state_dict() for layer in self._layers},
            "plain": {plain.name: plain.state_dict() for plain in self._plain},
            "gate": self._gate.state_dict(),
        }

    @torch.no_grad()
    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continues where `state_dict` was taken, bit for bit on the same device.

        Raises CheckpointError when it is of another model or other ranks.
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
        self._last_rate = float(state_dict["last_rate"])

    def _update(self, gates: Gates, tokens: int, grad_norm: float) -> float:
        """Moves every weight; returns the norm of the projected weights' change."""
        limit = self.config.max_grad_norm
        factor = 1.0 if limit is None or grad_norm <= limit else limit / grad_norm
        projected, *others = self.param_groups
        self._last_rate = projected["lr"] * self.config.scale
        decay = projected["lr"] * projected["weight_decay"]
        adam = self._adam()
        changes = [
            layer.update(gates, factor=factor, rate=self._last_rate, decay=decay, adam=adam, step=self._steps)
            for layer in self._layers
        ]
        groups = {weight: group for group in others for weight in group["params"]}
        for plain in self._plain:
            group = groups[plain.weight]
            plain.update(
                lr=group["lr"],
                adam=Adam(group["betas"], group["eps"]),
                weight_decay=group["weight_decay"],
                factor=factor / tokens,
                seed=self.config.seed,
                step=self._steps,
            )
        return total_norms([changes], self._shards)[0]

    def _share_bases(self) -> None:
        """Singular vectors may differ in their signs between machines; images in different bases cannot be added."""
        for others in (self._processes, self._shards):
            others.copy_first_([basis for layer in self._layers for basis in layer.bases()])

    def _adam(self) -> Adam:
        group = self.param_groups[0]
        return Adam(group["betas"], group["eps"])

    def _stats(
        self,
        batch: Batch,
        measured: Measured,
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
            tokens=batch.counts,
            losses=measured.losses,
            grad_norms=measured.grad_norms if self.config.decomposition else None,
            grad_norm=measured.grad_norm,
            update_norm=update_norm,
            hypergradient=measured.hypergradient,
            refreshed=refreshed,
        )
