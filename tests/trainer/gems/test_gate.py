"""The gate: its hypergradient against finite differences, and what it learns."""

import pytest
import torch
from torch import nn

from tests.trainer.gems.small_models import Pair, one_step, pair_loss, random_null_spaces, vectors
from trainer.gems import GemsConfig, GemsOptimizer, PerTask
from trainer.gems.gate import Gate, GateNetwork, heuristic_gates

EVEN = PerTask(1, 1)


def _loss_after(steps, gates, config, spaces):
    """Of the batch after `steps` steps, when the last of them used these gates and the others equal ones."""
    model, state = Pair(torch.float64), None
    for step in range(steps):
        last = step == steps - 1
        settings = GemsConfig(**config, gate="fixed", fixed_gates=gates if last else (0.5, 0.5))
        optimizer = GemsOptimizer(model, settings, null_spaces=spaces)
        if state is not None:
            optimizer.load_state_dict(state)
        one_step(optimizer, model, step)
        state = optimizer.state_dict()
        optimizer.close()
    task_batches = vectors(3, steps, torch.float64), vectors(5, steps + 500, torch.float64)
    with torch.no_grad():
        return (3 * pair_loss(model, task_batches[0]) + 5 * pair_loss(model, task_batches[1])).item() / 8


@pytest.mark.parametrize("side", ["output", "input"])
@pytest.mark.parametrize("refresh_every", [1, 100])  # 1: the basis changes between the update and its derivative
def test_hypergradient_equals_finite_differences(side, refresh_every):
    config = {"rank": 4, "refresh_every": refresh_every, "lr": 1e-2, "adamw_lr": 0.0, "scale": 0.7}
    spaces = random_null_spaces(Pair(), side, 0.3)
    steps = 3
    width = 1e-4
    up, down = ((0.5 + width, 0.5), (0.5 - width, 0.5)), ((0.5, 0.5 + width), (0.5, 0.5 - width))
    numeric = [
        (_loss_after(steps, high, config, spaces) - _loss_after(steps, low, config, spaces)) / (2 * width)
        for high, low in (up, down)
    ]
    model = Pair(torch.float64)
    optimizer = GemsOptimizer(model, GemsConfig(**config, gate_lr=0.0), null_spaces=spaces)
    stats = [one_step(optimizer, model, step) for step in range(steps + 1)]
    found = stats[-1].hypergradient
    assert [found.search, found.recommendation] == pytest.approx(numeric, rel=1e-5)
    assert stats[0].hypergradient is None


def test_the_network_goes_down_the_hypergradient_through_softmax_and_temperature():
    network = GateNetwork(lr=1e-3, seed=0)
    for _ in range(30):
        gates = network.decide(PerTask(2, 1), PerTask(1, 3), EVEN, temperature=0.5)
        assert gates.search + gates.recommendation == pytest.approx(1)
        network.learn(PerTask(0.2, -0.1))  # the loss falls when recommendation gets more
    assert gates.recommendation > 0.9


def test_one_learning_step_lowers_what_the_hypergradient_predicts():
    """Adam's first step is -lr·sign(gradient): the predicted loss must fall by about lr·|gradient|, in the sum."""
    lr = 1e-4
    network = GateNetwork(lr=lr, seed=0)
    features, derivative = (PerTask(2, 1), PerTask(1, 3), EVEN), torch.tensor([0.3, -0.7])
    with torch.no_grad():
        for weight in network._network.parameters():
            weight.add_(0.05 * torch.randn(weight.shape, generator=torch.Generator().manual_seed(1)))

    def predicted():
        gates = network.decide(*features, temperature=0.5)
        return 0.3 * gates.search - 0.7 * gates.recommendation

    before = predicted()
    asked, temperature = network._last_input
    gates = torch.softmax(network._network(torch.tensor(asked)) / temperature, 0)
    gradients = torch.autograd.grad(gates @ derivative, list(network._network.parameters()))
    network.learn(PerTask(0.3, -0.7))
    fall = lr * sum(gradient.abs().sum().item() for gradient in gradients)
    assert before - predicted() == pytest.approx(fall, rel=0.05)


def test_gates_start_equal_and_the_temperature_falls_to_its_end():
    gate = Gate(GemsConfig())
    gates = gate.decide(0, PerTask(3, 1), EVEN, EVEN)
    assert (gates.shared, gates.search, gates.recommendation) == (1, 0.5, 0.5)
    assert gate.temperature(0) == 1.5
    assert gate.temperature(1) == pytest.approx(1.485)
    assert gate.temperature(10_000) == 0.1
    assert Gate(GemsConfig(gate="fixed")).temperature(0) is None


def test_gradient_norms_count_from_the_step_before():
    gate = Gate(GemsConfig(gate="heuristic"))
    assert gate.decide(0, EVEN, PerTask(3, 1), EVEN).search == pytest.approx(0.5)
    assert gate.decide(1, EVEN, EVEN, EVEN).search == pytest.approx(0.4 * 0.5 + 0.4 * 0.75 + 0.2 * 0.5)


def test_heuristic_and_fixed_gates():
    gates = heuristic_gates(PerTask(3, 1), PerTask(1, 4), PerTask(9, 1))
    assert gates.search == pytest.approx(0.4 * 0.75 + 0.4 * 0.2 + 0.2 * 0.9)
    assert gates.search + gates.recommendation == pytest.approx(1)
    fixed = Gate(GemsConfig(gate="fixed", fixed_gates=(0.2, 0.3))).decide(0, EVEN, EVEN, EVEN)
    assert (fixed.search, fixed.recommendation) == (0.2, 0.3)


def test_the_learned_gate_turns_a_noise_task_down():
    """Search is a regression; recommendation's gradient is random with mean zero, so its own updates lead nowhere."""
    torch.manual_seed(0)
    model, target = nn.Sequential(), torch.randn(12, 16)
    model.add_module("q_proj", nn.Linear(16, 12, bias=False))
    optimizer = GemsOptimizer(model, GemsConfig(rank=4, refresh_every=20, null_space=False, lr=3e-3, gate_lr=1e-3))
    draw = torch.Generator().manual_seed(1)
    for _ in range(250):
        x = torch.randn(32, 16, generator=draw)
        with optimizer.task("search", tokens=32, loss=(loss := nn.functional.mse_loss(model(x), x @ target.T))):
            loss.backward()
        noise = torch.randn(32, 12, generator=draw)
        with optimizer.task("recommendation", tokens=32, loss=1.0):
            (model(torch.randn(32, 16, generator=draw)) * noise).mean().backward()
        stats = optimizer.step()
    assert stats.gates.recommendation < 0.1
    assert stats.gates.search > 0.9
