"""The gate: the weights with which each task's own subspace contributes to the update.

In the released code the gate's loss is a plain number without a graph, so its gate never learns. This one learns by a
one-step hypergradient: the derivative of the next batch's loss L' by the gates α of this step. A step moves the weights
to W' = W - step size · Σ α·Δ, so ∂L'/∂α = -step size · ⟨G', Δ⟩, with G' the gradient of L' at W'. It is known one step
later, from products of thin matrices, and is backpropagated through the softmax and the network that gave α.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from trainer.config.gems import GemsConfig
from trainer.gems.adam import AdamSettings, PlainWeight
from trainer.gems.numerics import generator_for
from trainer.gems.state import restore_
from trainer.gems.stats import Gates, PerTask

__all__ = ["Gate", "GateNetwork", "heuristic_gates"]

CPU = torch.device("cpu")


def heuristic_gates(losses: PerTask, grad_norms: PerTask, tokens: PerTask) -> PerTask:
    """The released code's heuristic: 0.4 · loss share + 0.4 · gradient-norm share + 0.2 · token share of each task."""
    loss, norm, token = losses.shares(), grad_norms.shares(), tokens.shares()
    search = 0.4 * loss.search + 0.4 * norm.search + 0.2 * token.search
    return PerTask(search, 1 - search)


class GateNetwork:
    """The learned gate: softmax(network(six shares) / temperature), on the CPU because the network is tiny.

    The six features are both tasks' shares of losses, of gradient norms and of tokens. The output layer starts at zero,
    so training starts with equal gates.

    lr: the learning rate of the network's Adam.
    seed: what the network's first weights are drawn from.
    """

    def __init__(self, lr: float, seed: int) -> None:
        self._lr = lr
        self._network = _network(seed)
        self._weights = [PlainWeight(name, weight) for name, weight in self._network.named_parameters()]
        self._last_input: tuple[list[float], float] | None = None  # features and temperature of the last decision

    def decide(self, losses: PerTask, grad_norms: PerTask, tokens: PerTask, temperature: float) -> PerTask:
        """The tasks' gates, which add up to 1, from the tasks' shares of losses, gradient norms and tokens."""
        shares = (losses.shares(), grad_norms.shares(), tokens.shares())
        features = [value for share in shares for value in (share.search, share.recommendation)]
        self._last_input = (features, temperature)
        with torch.no_grad():
            search, recommendation = self._gates(features, temperature).tolist()
        return PerTask(search, recommendation)

    def learn(self, hypergradient: PerTask) -> None:
        """Makes one Adam step on the network.

        hypergradient: the derivative of the loss by the gates that `decide` returned last.
        """
        if self._last_input is None:
            return
        with torch.enable_grad():
            gates = self._gates(*self._last_input)
        torch.autograd.backward(gates, torch.tensor([hypergradient.search, hypergradient.recommendation]))
        for weight in self._weights:
            weight.accumulate(tokens=1)
            weight.update(lr=self._lr, adam=AdamSettings(), weight_decay=0, factor=1)

    def state_dict(self) -> dict[str, Any]:
        return {
            "last_input": None if self._last_input is None else list(self._last_input),
            "weights": {weight.name: weight.weight.detach() for weight in self._weights},
            "moments": {weight.name: weight.state_dict() for weight in self._weights},
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        last_input = state["last_input"]
        self._last_input = None if last_input is None else (list(last_input[0]), float(last_input[1]))
        for weight in self._weights:
            restore_(weight.weight.data, state["weights"][weight.name], "the gate")
            weight.load_state_dict(state["moments"][weight.name])

    def _gates(self, features: list[float], temperature: float) -> Tensor:
        logits: Tensor = self._network(torch.tensor(features))
        return torch.softmax(logits / temperature, dim=0)


class Gate:
    """Decides the gates of every step, in the mode that `config.gate` names: learned, heuristic or fixed."""

    def __init__(self, config: GemsConfig) -> None:
        self._config = config
        self.learns = config.gate == "learned" and config.decomposition
        self._network = GateNetwork(config.gate_lr, config.seed) if self.learns else None
        self._last_norms = PerTask(0, 0)  # of each task's gradient in the last batch that had the task

    def temperature(self, step: int) -> float | None:
        """The softmax's temperature after `step` applied steps; None where no gate is learned."""
        config = self._config
        if not self.learns:
            return None
        return max(config.temperature_end, config.temperature_start * config.temperature_decay**step)

    def decide(self, step: int, losses: PerTask, grad_norms: PerTask, tokens: PerTask) -> Gates:
        """The gates of one step.

        step: steps applied so far.
        losses: each task's mean loss in this batch.
        grad_norms: each task's gradient norm in this batch. The next step's gates depend on it; this step's depend on
            the norms of the step before.
        tokens: each task's target tokens in this batch.
        """
        norms = self._last_norms
        self._last_norms = PerTask(
            grad_norms.search if tokens.search else norms.search,
            grad_norms.recommendation if tokens.recommendation else norms.recommendation,
        )
        if not self._config.decomposition:
            return Gates(1.0, 0.0, 0.0)
        temperature = self.temperature(step)
        if self._network is not None and temperature is not None:
            chosen = self._network.decide(losses, norms, tokens, temperature)
        elif self._config.gate == "heuristic":
            chosen = heuristic_gates(losses, norms, tokens)
        else:
            chosen = PerTask(*self._config.fixed_gates)
        return Gates(1.0, chosen.search, chosen.recommendation)

    def learn(self, hypergradient: PerTask | None) -> None:
        """Learns from the hypergradient of the last gates. Does nothing where it is None or the gate does not learn."""
        if self._network is not None and hypergradient is not None:
            self._network.learn(hypergradient)

    def state_dict(self) -> dict[str, Any]:
        return {
            "last_norms": [self._last_norms.search, self._last_norms.recommendation],
            "network": None if self._network is None else self._network.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._last_norms = PerTask(*state["last_norms"])
        if self._network is not None and state["network"] is not None:
            self._network.load_state_dict(state["network"])


def _network(seed: int) -> nn.Sequential:
    generator = generator_for(seed, "gate", device=CPU)
    layers = [nn.Linear(6, 128), nn.Linear(128, 64), nn.Linear(64, 2)]
    with torch.no_grad():
        for layer in layers:
            bound = layer.in_features**-0.5
            layer.weight.uniform_(-bound, bound, generator=generator)
            layer.bias.uniform_(-bound, bound, generator=generator)
        layers[-1].weight.zero_()
        layers[-1].bias.zero_()
    return nn.Sequential(layers[0], nn.ReLU(), layers[1], nn.ReLU(), layers[2])
