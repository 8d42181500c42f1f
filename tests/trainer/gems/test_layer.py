"""What is added to a weight lies in its null space, whatever the side, the orientation and the weight decay."""

import pytest
import torch

from tests.trainer.gems.small_models import Pair, one_step, random_null_spaces, weights_of
from trainer.gems import GemsConfig, GemsOptimizer


@pytest.mark.parametrize("decay", [0.0, 0.5])
@pytest.mark.parametrize("protected", [0.3, 0.7])
@pytest.mark.parametrize("side", ["output", "input"])
def test_every_update_stays_in_the_null_space(side, protected, decay):
    model = Pair()
    spaces = random_null_spaces(model, side, protected)
    config = GemsConfig(rank=3, refresh_every=2, weight_decay=decay, lr=1e-2, gate="heuristic")
    optimizer = GemsOptimizer(model, config, null_spaces=spaces)
    for step in range(6):
        before = weights_of(model)
        assert one_step(optimizer, model, step).applied
        for name, space in spaces.items():
            change = (model.get_submodule(name).weight.detach().double() - before[f"{name}.weight"].double()).float()
            kept = space.protected(change if side == "output" else change.T)
            assert change.norm() > 1e-3
            assert kept.norm() / change.norm() <= 1e-5


def test_weight_decay_shrinks_only_what_may_move():
    model = Pair(torch.float64)
    spaces = random_null_spaces(model, "output", 0.3)
    before = weights_of(model)
    optimizer = GemsOptimizer(model, GemsConfig(rank=2, lr=1e-12, weight_decay=1e11), null_spaces=spaces)
    one_step(optimizer, model, 0)
    for name, space in spaces.items():
        double = space.to(torch.device("cpu"), torch.float64)
        old, new = before[f"{name}.weight"], model.get_submodule(name).weight.detach()
        torch.testing.assert_close(double.protected(new), double.protected(old), rtol=0, atol=1e-6)
        torch.testing.assert_close(double.project_(new.clone()), 0.9 * double.project_(old.clone()), rtol=0, atol=1e-6)
