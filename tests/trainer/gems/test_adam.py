"""Moments against torch's Adam, and in another basis."""

import pytest
import torch

from trainer.core.errors import CheckpointError
from trainer.distributed.shard_range import ShardRange
from trainer.gems.adam import AdamSettings, CompactMoments, Moments

CPU = torch.device("cpu")


def _grads(count, rows=6, columns=9):
    draw = torch.Generator().manual_seed(3)
    return [torch.randn(rows, columns, generator=draw, dtype=torch.float64) for _ in range(count)]


def _after(grads, adam):
    moments = Moments(grads[0].shape, dtype=torch.float64, device=CPU)
    for grad in grads:
        moments.update(grad.clone(), adam)
    return moments


@pytest.mark.parametrize("shape", [(6, 9), (4,), ()])
def test_equals_torch_adam(shape):
    adam = AdamSettings((0.8, 0.95), 1e-6)
    weight = torch.zeros(shape, dtype=torch.float64, requires_grad=True)
    reference = torch.optim.Adam([weight], lr=1.0, betas=adam.betas, eps=adam.eps)
    moments = Moments(weight.shape, dtype=torch.float64, device=CPU)
    total = torch.zeros(shape, dtype=torch.float64)
    for seed in range(5):
        weight.grad = torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
        moments.update(weight.grad.clone(), adam)
        total -= moments.direction(adam)
        reference.step()
    torch.testing.assert_close(total, weight.detach())


def test_rotation_by_a_permutation_is_exact():
    adam, grads = AdamSettings(), _grads(12)
    turn = torch.eye(6, dtype=torch.float64)[[3, 1, 5, 0, 2, 4]]
    moments, expected = _after(grads, adam), _after([turn @ grad for grad in grads], adam)
    moments.rotate(turn)
    for name in ("first", "second", "weight_sum"):
        torch.testing.assert_close(getattr(moments, name), getattr(expected, name))


def test_rotation_within_the_subspace_is_right_on_average():
    """For independent rows of different size the rotated second moment is the one of the rotated gradients."""
    adam = AdamSettings((0.9, 0.999))
    size = torch.linspace(0.2, 3, 6, dtype=torch.float64).unsqueeze(1)
    grads = [size * grad for grad in _grads(3000, columns=40)]
    turn = torch.linalg.qr(torch.randn(6, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64))[0]
    moments, expected = _after(grads, adam), _after([turn @ grad for grad in grads], adam)
    moments.rotate(turn)
    torch.testing.assert_close(moments.first, expected.first)
    torch.testing.assert_close(moments.second.mean(1), expected.second.mean(1), rtol=0.05, atol=0)


def test_a_direction_never_seen_starts_from_its_own_gradients():
    adam, grads = AdamSettings(), _grads(50)
    moments = _after(grads, adam)
    turn = torch.zeros(6, 6, dtype=torch.float64)
    turn[:4, :4] = torch.eye(4)  # the last two new rows are orthogonal to the old basis
    moments.rotate(turn)
    assert torch.equal(moments.weight_sum[4:], torch.zeros(2, 1, dtype=torch.float64))
    big = torch.full((6, 9), 100.0, dtype=torch.float64)
    moments.update(big.clone(), adam)
    direction = moments.direction(adam)
    assert direction[4:].abs().max() <= 1.01  # an uncorrected second moment would make it 3
    torch.testing.assert_close(moments.second[4:], big[4:] ** 2)


def test_reset_forgets():
    moments = _after(_grads(3), AdamSettings())
    moments.reset()
    assert moments.direction(AdamSettings()).count_nonzero() == 0


def _compact_after(grads, adam):
    rows, columns = grads[0].shape
    moments = CompactMoments(rows, ShardRange.full(columns), device=CPU)
    for grad in grads:
        moments.update(grad.float(), adam)
    return moments


def test_compact_moments_are_adams_where_a_row_and_a_column_say_everything():
    """Gradients whose size is a number for the row times one for the column."""
    adam, draw = AdamSettings(), torch.Generator().manual_seed(5)
    size = torch.linspace(0.1, 3, 6).unsqueeze(1) * torch.linspace(0.5, 2, 9)
    grads = [size * torch.randint(0, 2, size.shape, generator=draw).mul(2).sub(1) for _ in range(30)]
    full, compact = _after([grad.double() for grad in grads], adam), _compact_after(grads, adam)
    # Codes are a 22nd apart.
    torch.testing.assert_close(compact.direction(adam).double(), full.direction(adam), rtol=0.05, atol=0.02)


def test_compact_moments_are_right_on_average():
    adam = AdamSettings()
    grads = _grads(400)
    full, compact = _after(grads, adam), _compact_after(grads, adam)
    estimate = compact.row_R1 * compact.column_1L / compact.mean
    torch.testing.assert_close(estimate.mean(1).double(), full.second.mean(1), rtol=1e-3, atol=0)
    torch.testing.assert_close(estimate.mean(0).double(), full.second.mean(0), rtol=1e-3, atol=0)


def test_compact_moments_take_rotations_as_full_ones_do():
    adam, grads = AdamSettings(), _grads(12)
    turn = torch.eye(6, dtype=torch.float64)[[3, 1, 5, 0, 2, 4]]
    moments, expected = _compact_after(grads, adam), _compact_after([turn @ grad for grad in grads], adam)
    moments.rotate(turn.float())
    for one, other in zip(moments.tensors(), expected.tensors(), strict=True):
        torch.testing.assert_close(one, other)
    turn[4:] = 0  # two new rows that are orthogonal to the old basis
    moments.rotate(turn.float())
    assert torch.equal(moments.weight_sum[4:], torch.zeros(2, 1))
    moments.update(torch.full((6, 9), 100.0), adam)
    assert moments.direction(adam)[4:].abs().max() <= 1.5


def test_compact_moments_of_parts_of_the_columns_are_those_of_the_whole():
    """Each rank has some columns; the rows' means are summed over the ranks."""
    whole = _compact_after(_grads(1), AdamSettings())

    def half(start, stop):
        class Group:
            def all_reduce(self, tensors):
                tensors[0].copy_(_grads(1)[0].float().square().sum(1, keepdim=True))

        moments = CompactMoments(6, ShardRange(9, start, stop, Group()), device=CPU)
        moments.update(_grads(1)[0].float()[:, start:stop], AdamSettings())
        return moments

    parts = [half(0, 5), half(5, 9)]
    directions = torch.cat([part.direction(AdamSettings()) for part in parts], 1)
    torch.testing.assert_close(directions, whole.direction(AdamSettings()))


def test_moments_of_the_other_form_are_refused():
    full, compact = _after(_grads(2), AdamSettings()), _compact_after(_grads(2), AdamSettings())
    with pytest.raises(CheckpointError, match=r"q_proj were saved in full form.*gems\.moments=full"):
        compact.load_state_dict(full.state_dict(), "q_proj")
    with pytest.raises(CheckpointError, match=r"were saved in compact form.*gems\.moments=compact"):
        full.load_state_dict(compact.state_dict(), "q_proj")


def test_compact_moments_fade_when_gradients_have_ended():
    """Codes lie so close that a step's decay reaches the next one, down to a hundredth of what is usual."""
    moments = _compact_after([grad * 100 for grad in _grads(30)], AdamSettings())
    largest = moments.direction(AdamSettings()).abs().max()
    for _ in range(80):
        moments.update(torch.zeros(6, 9), AdamSettings())
    assert largest > 0.2
    assert moments.direction(AdamSettings()).abs().max() < 0.01


def test_compact_moments_of_a_single_outlier_stay_bounded():
    grads = [torch.full((6, 9), 1e-3) for _ in range(20)]
    grads[-1][2, 3] = 1e6
    direction = _compact_after(grads, AdamSettings()).direction(AdamSettings())
    assert direction.isfinite().all()
    assert 0 < direction[2, 3] <= 9.2


def test_compact_moments_of_another_release_are_refused():
    moments = _compact_after(_grads(2), AdamSettings())
    before = moments.state_dict() | {"first": torch.zeros(6, 9, dtype=torch.bfloat16)}
    del before["code"]
    with pytest.raises(CheckpointError, match=r"q_proj were saved by another release"):
        moments.load_state_dict(before, "q_proj")
