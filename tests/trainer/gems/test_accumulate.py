"""Two processes that share every batch, beside one that has all of it."""

import pytest
import torch

from tests.trainer.distributed.two_processes import in_two_processes
from tests.trainer.gems.small_models import (
    PRECISE,
    ids,
    language_loss,
    one_thread,
    qwen2,
    random_null_spaces,
    weights_of,
)
from trainer.distributed.group import SINGLE_PROCESS
from trainer.gems import GemsConfig, GemsOptimizer

STEPS = 7
BROKEN = 4  # the step whose loss is no number in one process
LONELY = 5  # the step whose search batch is one row, all process 0's
SETTINGS = {
    "rank": 6,
    "refresh_every": 2,
    "oversampling": 4,
    "max_grad_norm": 0.5,
    "weight_decay": 0.1,
    "gate_lr": 0.05,
    "vocabulary_rows": 40,
    "lr": 3e-3,
    "adamw_lr": 3e-3,
}
SIDES = ("output", "input", "none", "compact")
"""The null space's side. "compact" has the input's and optimiser state in few bits, the others have full precision;
with larger steps its gate would enlarge what the two ways round differently."""


def tuned(side: str, group):
    """Weights, steps' applied, losses, norms and gates after steps with refreshes, accumulation and clipping."""
    model = qwen2()
    compact = side == "compact"
    spaces = None if side == "none" else random_null_spaces(model, "input" if compact else side, 0.3)
    precise = {"gate_lr": 5e-3} if compact else PRECISE
    config = GemsConfig(**SETTINGS | precise, null_space=spaces is not None)
    optimizer = GemsOptimizer(model, config, null_spaces=spaces, replica_group=group)
    figures = []
    for step in range(STEPS):
        for task, count, shift in (("search", 1 if step == LONELY else 3, 0), ("recommendation", 6, 500)):
            mine = group.local_slice(ids(count, step + shift))
            for rows in torch.split(mine, 2) if len(mine) else ():
                loss = language_loss(model, rows)
                fault = torch.nan if step == BROKEN and task == "search" and group.rank == 0 else 0.0
                with optimizer.task(task, tokens=len(rows), loss=loss.detach() + fault):
                    loss.backward()
        stats = optimizer.step()
        derivatives = stats.hypergradient
        figures.append(
            [
                stats.applied,
                stats.refreshed,
                stats.losses.search,
                stats.losses.recommendation,
                stats.grad_norm,
                stats.gates.search,
                derivatives.search if derivatives else 0.0,
            ]
        )
    return {"weights": weights_of(model), "figures": torch.tensor(figures, dtype=torch.float64)}


def all_sides(group, _folder):
    return {side: tuned(side, group) for side in SIDES}


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    return in_two_processes(all_sides, tmp_path_factory.mktemp("two"))


@pytest.mark.parametrize("side", SIDES)
def test_two_processes_reach_the_weights_of_one(side, shared):
    with one_thread():
        alone = tuned(side, SINGLE_PROCESS)
    start = weights_of(qwen2())
    atol = 6e-4 if side == "compact" else 1e-5  # 7 steps of 3e-3, in which a moment rounded otherwise is a 22nd
    for name, weight in alone["weights"].items():
        torch.testing.assert_close(shared[0][side]["weights"][name], weight, rtol=0, atol=atol)
        if name != "model.embed_tokens.weight":
            assert (weight - start[name]).abs().max() > 1e-3, "the steps are much larger than the tolerance"
    torch.testing.assert_close(shared[0][side]["figures"], alone["figures"], rtol=10 * atol, atol=atol, equal_nan=True)


@pytest.mark.parametrize("side", SIDES)
def test_both_processes_hold_the_same_bits(side, shared):
    first, second = (result[side] for result in shared)
    for name, weight in first["weights"].items():
        assert torch.equal(weight, second["weights"][name])
    torch.testing.assert_close(first["figures"], second["figures"], rtol=0, atol=0, equal_nan=True)


def test_what_is_not_finite_in_one_process_stops_the_step_in_both(shared):
    for result in shared:
        applied = result["none"]["figures"][:, 0]
        assert applied.tolist() == [step != BROKEN for step in range(STEPS)]
