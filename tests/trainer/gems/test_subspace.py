"""Bases from sketches: measured against the exact singular value decomposition."""

import pytest
import torch

from tests.trainer.gems.small_models import chain, language_loss, qwen2
from trainer.gems import GemsConfig, NullSpace
from trainer.gems.subspace import random_basis, sketch_basis

OVERSAMPLING = GemsConfig().oversampling


def _draw(seed=0):
    return torch.Generator().manual_seed(seed)


def _sketch(matrix, columns, seed=0):
    return matrix @ torch.randn(matrix.shape[1], columns, generator=_draw(seed), dtype=matrix.dtype)


def _with_spectrum(values, length):
    left = torch.linalg.qr(torch.randn(len(values), len(values), generator=_draw(1)))[0]
    right = torch.linalg.qr(torch.randn(length, len(values), generator=_draw(2)))[0]
    return left @ torch.diag(values) @ right.T


def _energy(basis, matrix):
    return ((basis.T @ matrix).square().sum() / matrix.square().sum()).item()


@pytest.mark.parametrize(("gap", "largest", "energy"), [(1.0, 1.0, 0.98), (0.2, 0.2, 0.999), (0.05, 0.05, 0.9999)])
def test_subspace_error_against_the_exact_decomposition(gap, largest, energy):
    """Singular values 1/i, smaller by `gap` after the rank. `largest` is the sine of an angle, free without a gap."""
    values = 1 / torch.arange(1, 129).float()
    values[16:] *= gap
    matrix = _with_spectrum(values, 300)
    exact = torch.linalg.svd(matrix)[0][:, :16]
    basis = sketch_basis(_sketch(matrix, 16 + OVERSAMPLING), 16, None, generator=_draw())
    assert torch.linalg.matrix_norm(exact - basis @ (basis.T @ exact), 2) <= largest
    assert _energy(basis, matrix) >= energy * _energy(exact, matrix)


@pytest.mark.parametrize("share", [8, 4, 2])
def test_energy_caught_of_the_gradients_to_come(share):
    """On a small language model in training: a basis serves the batches after the one it was chosen on."""
    model = qwen2(hidden_size=64, intermediate_size=160)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    for step in range(20):
        _gradients(model, step)
        optimizer.step()
    now, later = _gradients(model, 20), [_gradients(model, 21 + i) for i in range(5)]
    caught = []
    for name, matrix in now.items():
        rank = matrix.shape[0] // share
        columns = min(rank + OVERSAMPLING, matrix.shape[0])
        basis = sketch_basis(_sketch(matrix, columns), rank, None, generator=_draw())
        exact = torch.linalg.svd(matrix)[0][:, :rank]
        caught.append(sum(_energy(basis, m[name]) for m in later) / sum(_energy(exact, m[name]) for m in later))
    assert sum(caught) / len(caught) > 0.94  # single layers at the smallest rank scatter from 0.8 to 1.1


def _gradients(model, seed):
    """Of the projections, shorter side first."""
    model.zero_grad()
    language_loss(model, chain(16, seed)).backward()
    weights = {name: weight.grad.clone() for name, weight in model.named_parameters() if name.endswith("_proj.weight")}
    return {name: grad if grad.shape[0] <= grad.shape[1] else grad.T for name, grad in weights.items()}


def test_sketches_of_parts_add_up():
    matrix = _with_spectrum(torch.arange(1, 33).float() ** -1, 50)
    noise = torch.randn(matrix.shape, generator=_draw(5))
    whole = sketch_basis(_sketch(matrix, 16), 8, None, generator=_draw())
    parts = sketch_basis(_sketch(noise, 16) + _sketch(matrix - noise, 16), 8, None, generator=_draw())
    torch.testing.assert_close(whole @ whole.T, parts @ parts.T, atol=1e-3, rtol=0)


@pytest.mark.parametrize("spans", ["protected", "free"])
@pytest.mark.parametrize("content", ["full", "rank one", "zero"])
def test_bases_are_orthonormal_and_in_the_null_space(spans, content):
    full = torch.linalg.qr(torch.randn(32, 32, generator=_draw(1)))[0]
    kept, free = full[:, :12], full[:, 12:]
    space = NullSpace("output", spans, kept if spans == "protected" else free)
    matrix = torch.randn(32, 40, generator=_draw(2))
    if content == "rank one":
        matrix = torch.outer(matrix[:, 0], matrix[0])
    matrix = matrix * 0 if content == "zero" else matrix
    for rank in (5, 20):
        for basis in (
            sketch_basis(_sketch(matrix, min(rank + 8, 20)), rank, space, generator=_draw()),
            random_basis(32, rank, space, dtype=torch.float32, generator=_draw()),
        ):
            torch.testing.assert_close(basis.T @ basis, torch.eye(rank), atol=3e-6, rtol=0)
            assert torch.linalg.matrix_norm(kept.T @ basis, 2) < 1e-6


@pytest.mark.parametrize("spans", [None, "protected", "free"])
@pytest.mark.parametrize("content", ["full", "inside the other", "zero"])
def test_a_basis_outside_of_another_holds_the_leading_directions_of_the_rest(spans, content):
    full = torch.linalg.qr(torch.randn(32, 32, generator=_draw(1)))[0]
    kept, free = full[:, :12], full[:, 12:]
    space = None if spans is None else NullSpace("output", spans, kept if spans == "protected" else free)
    other = random_basis(32, 8, space, dtype=torch.float32, generator=_draw(3))
    matrix = _with_spectrum(0.8 ** torch.arange(32), 40)
    rest = matrix - other @ (other.T @ matrix)
    matrix = {"full": matrix, "inside the other": matrix - rest, "zero": matrix * 0}[content]
    for rank in (3, 12):  # all that is left in the null space
        for basis in (
            sketch_basis(_sketch(matrix, 20), rank, space, other, generator=_draw()),
            random_basis(32, rank, space, other, dtype=torch.float32, generator=_draw()),
        ):
            torch.testing.assert_close(basis.T @ basis, torch.eye(rank), atol=3e-6, rtol=0)
            assert torch.linalg.matrix_norm(other.T @ basis, 2) < 3e-6
            if space is not None:
                assert torch.linalg.matrix_norm(kept.T @ basis, 2) < 3e-6
    if content == "full":
        inside = rest if space is None else space.projected(rest)
        exact = torch.linalg.svd(inside)[0][:, :6]
        basis = sketch_basis(_sketch(matrix, 20), 6, space, other, generator=_draw())
        assert _energy(basis, inside) >= 0.9 * _energy(exact, inside)


def test_a_basis_of_what_the_other_leaves_does_not_depend_on_rounding():
    """A batch of few tokens has a gradient that lies inside the shared subspace; what is left of it is rounding."""
    other = random_basis(64, 32, None, dtype=torch.float32, generator=_draw(3))
    sketch = other @ torch.randn(32, 48, generator=_draw(2))
    rounded = sketch * (1 + 1e-7 * torch.randn(sketch.shape, generator=_draw(4)))
    one, two = (sketch_basis(matrix, 16, None, other, generator=_draw()) for matrix in (sketch, rounded))
    assert torch.linalg.matrix_norm(one @ one.T - two @ two.T, 2) < 0.02
