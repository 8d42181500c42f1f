"""Null spaces: projection, and how many directions a threshold protects."""

import pytest
import torch

from trainer.core.errors import NullSpaceError
from trainer.gems import Energy, NullSpace, Relative
from trainer.gems.nullspace.space import protected_count


@pytest.mark.parametrize("spans", ["protected", "free"])
def test_projection_removes_what_is_protected_and_nothing_else(spans):
    full = torch.linalg.qr(torch.randn(12, 12, generator=torch.Generator().manual_seed(0)))[0]
    kept, free = full[:, :5], full[:, 5:]
    space = NullSpace("output", spans, kept if spans == "protected" else free)
    assert (space.width, space.free) == (12, 7)
    matrix = kept @ torch.ones(5, 3) + free @ torch.ones(7, 3)
    torch.testing.assert_close(space.protected(matrix), kept @ torch.ones(5, 3), atol=1e-5, rtol=0)
    rows = matrix.T.clone()
    assert space.project_(rows.T).data_ptr() == rows.data_ptr()
    torch.testing.assert_close(rows.T, free @ torch.ones(7, 3), atol=1e-5, rtol=0)


@pytest.mark.parametrize("spans", ["protected", "free"])
def test_a_rounded_factor_projects_exactly_on_its_own_span(spans):
    draw = torch.Generator().manual_seed(0)
    space = NullSpace("input", spans, torch.linalg.qr(torch.randn(96, 40, generator=draw))[0])
    rounded = space.rounded()
    assert rounded.factor_WK.dtype == torch.bfloat16
    assert (rounded.width, rounded.free, rounded.rounded()) == (space.width, space.free, rounded)
    exact = torch.linalg.qr(rounded.factor_WK.double())[0]
    matrix = torch.randn(96, 7, generator=draw)
    inside = (exact @ (exact.T @ matrix.double())).float()
    wanted = matrix - inside if spans == "protected" else inside
    torch.testing.assert_close(rounded.projected(matrix), wanted, rtol=0, atol=3e-6)
    assert rounded.projected(rounded.protected(matrix)).norm() <= 1e-6 * matrix.norm()
    assert rounded.equals(space.rounded())
    assert not rounded.equals(space)
    wide = rounded.to(torch.device("cpu"), torch.float64)
    assert wide.factor_WK.dtype == torch.float64
    torch.testing.assert_close(wide.projected(matrix.double()), wanted.double(), rtol=0, atol=3e-6)


@pytest.mark.parametrize(
    ("threshold", "expected"),
    [
        (Energy(0.5), 1),
        (Energy(0.8), 2),
        (Energy(0.81), 3),
        (Relative(1.0), 1),
        (Relative(0.1), 3),
        (Relative(1e-9), 9),
    ],
)
def test_thresholds_count_dominant_directions(threshold, expected):
    values = torch.tensor([50.0, 30, 10, 4, 3, 1, 1, 0.5, 0.4, 0.1])
    assert protected_count(values, 100.0, 10, threshold) == expected  # at most 9 of 10: 5% stay free


def test_a_partial_spectrum_tells_when_it_is_not_enough():
    values = torch.tensor([50.0, 30.0])
    assert protected_count(values, 100.0, 10, Energy(0.75)) == 2
    assert protected_count(values, 100.0, 10, Energy(0.9)) is None
    assert protected_count(values, 100.0, 10, Relative(0.5)) is None
    assert protected_count(values, 100.0, 10, Relative(0.7)) == 1


def test_thresholds_out_of_range_are_refused():
    with pytest.raises(NullSpaceError, match=r"Energy\(1\.5\)"):
        Energy(1.5)
    with pytest.raises(NullSpaceError, match=r"Relative\(0\)"):
        Relative(0)
