"""The gate: how much each task's own subspace contributes to the update.

The released code has nothing to call `backward` on here, as its loss is a plain number, so its gate never learns. This
one is trained by the one-step hypergradient. With W' = W - rate·Σ α·Δ, the next batch's loss has the derivative
∂L'/∂α = -rate·⟨G', Δ⟩. It is known one step later, from thin products, and goes back through the softmax and the
network that made α.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from trainer.config.gems import GemsConfig
from trainer.gems.adam import Adam
from trainer.gems.plain import PlainWeight
from trainer.gems.randomness import generator_for
from trainer.gems.state import restore_
from trainer.gems.stats import Gates, PerTask

__all__ = ["Gate", "GateNetwork", "heuristic_gates"]

CPU = torch.device("cpu")


def heuristic_gates(losses: PerTask, grad_norms: PerTask, tokens: PerTask) -> PerTask:
    """0.4 of the loss share, 0.4 of the gradient-norm share, 0.2 of the token share (the released heuristic)."""
    loss, norm, part = losses.shares(), grad_norms.shares(), tokens.shares()
    search = 0.4 * loss.search + 0.4 * norm.search + 0.2 * part.search
    return PerTask(search, 1 - search)


class GateNetwork:
    """softmax(network(six shares) / temperature), on the CPU: it is far too small for anything else.

    The output layer starts at zero, so training starts from equal gates.
    """

    def __init__(self, lr: float, seed: int) -> None:
        self._lr = lr
        self._network = _network(seed)
        self._weights = [PlainWeight(name, weight) for name, weight in self._network.named_parameters()]
        self._asked: tuple[list[float], float] | None = None  # features and temperature of the last answer

    def decide(self, losses: PerTask, grad_norms: PerTask, tokens: PerTask, temperature: float) -> PerTask:
        shares = (losses.shares(), grad_norms.shares(), tokens.shares())
        features = [value for share in shares for value in (share.search, share.recommendation)]
        self._asked = (features, temperature)
        with torch.no_grad():
            search, recommendation = self._gates(features, temperature).tolist()
        return PerTask(search, recommendation)

    def learn(self, hypergradient: PerTask) -> None:
        """One Adam step on the network; `hypergradient` is ∂loss/∂α of the gates decided last."""
        if self._asked is None:
            return
        with torch.enable_grad():
            gates = self._gates(*self._asked)
        torch.autograd.backward(gates, torch.tensor([hypergradient.search, hypergradient.recommendation]))
        for weight in self._weights:
            weight.observe(tokens=1)
            weight.update(lr=self._lr, adam=Adam(), weight_decay=0, factor=1)

    def state_dict(self) -> dict[str, Any]:
        return {
            "asked": None if self._asked is None else list(self._asked),
            "weights": {weight.name: weight.weight.detach() for weight in self._weights},
            "moments": {weight.name: weight.state_dict() for weight in self._weights},
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        asked = state["asked"]
        self._asked = None if asked is None else (list(asked[0]), float(asked[1]))
        for weight in self._weights:
            restore_(weight.weight.data, state["weights"][weight.name], "the gate")
            weight.load_state_dict(state["moments"][weight.name])

    def _gates(self, features: list[float], temperature: float) -> Tensor:
        logits: Tensor = self._network(torch.tensor(features))
        return torch.softmax(logits / temperature, dim=0)


class Gate:
    """The gates in the mode that the settings name, with what carries over from step to step."""

    def __init__(self, config: GemsConfig) -> None:
        self._config = config
        self.learns = config.gate == "learned" and config.decomposition
        self._network = GateNetwork(config.gate_lr, config.seed) if self.learns else None
        self._last_norms = PerTask(0, 0)  # of each task's gradient, when it was last there

    def temperature(self, step: int) -> float | None:
        """Of the softmax after `step` applied steps; None where none is learned."""
        config = self._config
        if not self.learns:
            return None
        return max(config.temperature_end, config.temperature_start * config.temperature_decay**step)

    def decide(self, step: int, losses: PerTask, grad_norms: PerTask, tokens: PerTask) -> Gates:
        """The gates of one step. The gradient norms that count are the step before's, these are kept for the next."""
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
        """Takes in how the gates decided last served the next batch, where that is known."""
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
    draw = generator_for(seed, "gate", device=CPU)
    layers = [nn.Linear(6, 128), nn.Linear(128, 64), nn.Linear(64, 2)]
    with torch.no_grad():
        for layer in layers:
            bound = layer.in_features**-0.5
            layer.weight.uniform_(-bound, bound, generator=draw)
            layer.bias.uniform_(-bound, bound, generator=draw)
        layers[-1].weight.zero_()
        layers[-1].bias.zero_()
    return nn.Sequential(layers[0], nn.ReLU(), layers[1], nn.ReLU(), layers[2])
