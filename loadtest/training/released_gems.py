"""GEMS as its authors released it (Polaris-JZ/GEMS), so that the cost of a step can be compared with ours.

Three passes a step, of the whole batch, of its search part and of its recommendation part, each with a full gradient
of every weight that is kept until the update. The projector on the null space is a dense matrix for every layer; it
multiplies all three gradients. Each gradient has a subspace of its own, with Adam's moments inside. Written here from
the method's description, as well as it allows: singular vectors are randomised, and a gradient is taken over from
autograd without a copy and dropped as soon as its layer has moved.

M, N rows and columns of a weight; S, L its shorter and longer side; R rank.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from catalog.text.prompts import TASKS, Task
from trainer.gems import GemsConfig, NullSpace
from trainer.gems.adam import AdamSettings, Moments, PlainWeight

__all__ = ["ReleasedGems"]

Part = Literal["shared"] | Task
PARTS: tuple[Part, ...] = ("shared", *TASKS)
TEMPERATURE = (1.5, 0.99, 0.1)
"""Of the gate: at first, its decay a step, and at last."""


class ReleasedGems:
    """Loss functions in, weights moved. plain: all that is not projected; AdamW moves it by the whole gradient.

    rank: of the shared subspace; the tasks' own have half of it.
    """

    def __init__(
        self,
        weights: Mapping[str, Tensor],
        plain: Sequence[PlainWeight],
        spaces: Mapping[str, NullSpace],
        config: GemsConfig,
        *,
        rank: int,
    ) -> None:
        self._config, self._plain = config, plain
        self._layers = [_Layer(weight, spaces[name], rank) for name, weight in weights.items()]
        device = next(iter(weights.values())).device
        # It never receives a gradient: its loss is a plain number in the released code.
        layers = (nn.Linear(6, 128), nn.ReLU(), nn.Linear(128, 64), nn.ReLU(), nn.Linear(64, 2))
        self._gate = nn.Sequential(*layers).to(device)
        self._adam = AdamSettings(config.betas, config.eps)
        self._steps = 0

    def step(self, losses: dict[Part, Callable[[], Tensor]], tokens: dict[Task, int]) -> None:
        """`losses`: how to compute the mean loss of the whole batch and of each task."""
        found: dict[Part, float] = {}
        for part in PARTS:
            loss = losses[part]()
            torch.autograd.backward(loss)
            found[part] = float(loss.detach())
            for layer in self._layers:
                layer.keep(part)
            for weight in self._plain:
                if part == "shared":
                    weight.accumulate(tokens=1)
                else:
                    weight.weight.grad = None
        with torch.no_grad():
            self._move(found, tokens)
        self._steps += 1

    def _move(self, losses: dict[Part, float], tokens: dict[Task, int]) -> None:
        refresh = self._steps % self._config.refresh_every == 0
        for layer in self._layers:
            layer.project()
            if refresh:
                layer.choose_bases()
        gates = self._decide(losses, tokens)
        for layer in self._layers:
            layer.update(gates, self._config.lr, self._adam)
        for weight in self._plain:
            weight.update(lr=self._config.adamw_lr, adam=self._adam, weight_decay=0.0, factor=1.0)

    def _decide(self, losses: dict[Part, float], tokens: dict[Task, int]) -> dict[Part, float]:
        norms = {task: math.sqrt(sum(layer.squared_norm(task) for layer in self._layers)) for task in TASKS}
        features = [value for share in (losses, norms, tokens) for value in _shares([share[task] for task in TASKS])]
        first, decay, last = TEMPERATURE
        temperature = max(last, first * decay**self._steps)
        logits = self._gate(torch.tensor(features, device=self._layers[0].weight.device))
        search, recommendation = torch.softmax(logits / temperature, -1).tolist()
        return {"shared": 1.0, "search": search, "recommendation": recommendation}


class _Layer:
    def __init__(self, weight: Tensor, space: NullSpace, rank: int) -> None:
        self.weight = weight
        rows, columns = weight.shape
        self._transposed = rows > columns
        factor_MK = space.factor_WK.to(weight.device, torch.float32)
        self._projector_MM = torch.eye(rows, device=weight.device).addmm_(factor_MK, factor_MK.T, alpha=-1)
        self._ranks: dict[Part, int] = {"shared": rank, "search": rank // 2, "recommendation": rank // 2}
        self._bases_SR: dict[Part, Tensor] = {}
        length = max(rows, columns)
        self._moments = {
            part: Moments((rank, length), dtype=torch.float32, device=weight.device)
            for part, rank in self._ranks.items()
        }
        self._gradients_MN: dict[Part, Tensor] = {}

    def keep(self, part: Part) -> None:
        gradient_MN, self.weight.grad = self.weight.grad, None
        assert gradient_MN is not None
        self._gradients_MN[part] = gradient_MN

    def project(self) -> None:
        for part, gradient_MN in self._gradients_MN.items():
            self._gradients_MN[part] = self._projector_MM @ gradient_MN.float()

    def squared_norm(self, part: Part) -> float:
        return float(self._gradients_MN[part].square().sum())

    def choose_bases(self) -> None:
        for part, rank in self._ranks.items():
            self._bases_SR[part] = torch.svd_lowrank(self._short_first(part), q=rank)[0]

    def update(self, gates: dict[Part, float], lr: float, adam: AdamSettings) -> None:
        change_SL: Tensor | None = None
        for part, basis_SR in self._bases_SR.items():
            self._moments[part].update(basis_SR.T @ self._short_first(part), adam)
            direction_RL = self._moments[part].direction(adam)
            if change_SL is None:
                change_SL = (basis_SR @ direction_RL).mul_(gates[part])
            else:
                change_SL.addmm_(basis_SR, direction_RL, alpha=gates[part])
        assert change_SL is not None
        self._gradients_MN = {}
        self.weight.data.add_(change_SL.T if self._transposed else change_SL, alpha=-lr)

    def _short_first(self, part: Part) -> Tensor:
        gradient_MN = self._gradients_MN[part]
        return gradient_MN.T if self._transposed else gradient_MN


def _shares(values: Sequence[float]) -> list[float]:
    total = sum(values)
    return [value / total if total else 0.5 for value in values]
