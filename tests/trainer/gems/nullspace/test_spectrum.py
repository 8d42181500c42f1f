"""Second moments gathered batch by batch, whole and sketched."""

import pytest
import torch

from trainer.core.errors import NullSpaceError
from trainer.gems import Energy
from trainer.gems.nullspace.spectrum import ExactSpectrum, SketchedSpectrum

CPU = torch.device("cpu")


def _rows(count=2000, width=48, strong=6):
    """Representations with `strong` directions far above the others."""
    draw = torch.Generator().manual_seed(0)
    basis = torch.linalg.qr(torch.randn(width, width, generator=draw))[0]
    size = torch.full((width,), 0.05)
    size[:strong] = torch.linspace(3, 1, strong)
    return torch.randn(count, width, generator=draw) * size @ basis.T, basis[:, :strong]


def _filled(spectrum, rows):
    for part in rows.split(130):
        spectrum.add(part)
    return spectrum


def _angle(space, strong):
    return torch.linalg.matrix_norm(space.protected(strong) - strong, 2)


def test_the_exact_spectrum_finds_the_dominant_directions():
    rows, strong = _rows()
    space = _filled(ExactSpectrum(48, CPU), rows).null_space("output", Energy(0.99))
    assert space.free == 42
    assert _angle(space, strong) < 0.02
    values = torch.linalg.eigvalsh(rows.double().T @ rows.double()).flip(0)
    assert values[:6].sum() / values.sum() >= 0.99 > values[:5].sum() / values.sum()


def test_the_thinner_factor_is_kept():
    rows, _ = _rows()
    spectrum = _filled(ExactSpectrum(48, CPU), rows)
    assert spectrum.null_space("input", Energy(0.99)).factor_WK.shape == (48, 6)
    most = spectrum.null_space("input", Energy(0.9999))
    assert most.spans == "free"
    assert most.factor_WK.shape[1] == most.free < 24


def test_the_sketched_spectrum_agrees_with_the_exact_one():
    rows, strong = _rows()
    sketched = _filled(SketchedSpectrum(48, 16, CPU), rows)
    assert sketched.tokens == 2000
    space = sketched.null_space("output", Energy(0.98))
    assert space.free == 42
    assert _angle(space, strong) < 0.05


def test_a_sketch_too_small_for_the_threshold_says_so():
    rows = torch.randn(500, 48, generator=torch.Generator().manual_seed(0))
    with pytest.raises(NullSpaceError, match=r"8 directions kept of a layer 48 wide hold .* raise sketch_rows"):
        _filled(SketchedSpectrum(48, 8, CPU), rows).null_space("output", Energy(0.9))


def test_a_sketch_follows_a_spectrum_that_falls_slowly():
    """As that of real layers does; 64 of 400 directions are kept, and no energy is overstated."""
    draw = torch.Generator().manual_seed(1)
    width, kept = 400, 64
    basis = torch.linalg.qr(torch.randn(width, width, generator=draw))[0]
    rows = torch.randn(3000, width, generator=draw) * torch.arange(1, width + 1).float().pow(-0.8) @ basis.T
    sketched = _filled(SketchedSpectrum(width, kept, CPU), rows)
    values, vectors = sketched._dominant()
    moment = rows.double().T @ rows.double()
    exact = torch.linalg.eigvalsh(moment).flip(0)
    assert sketched.trace == pytest.approx(float(moment.trace()), rel=1e-5)
    assert (values <= exact[:kept] * (1 + 1e-5)).all()
    assert values[:32].sum() > 0.96 * exact[:32].sum()
    assert torch.allclose(vectors.T @ vectors, torch.eye(kept), atol=1e-4)
    held = torch.linalg.matrix_norm(rows @ vectors[:, :32]) ** 2
    assert held > 0.99 * exact[:32].sum(), "the directions hold the energy that the best ones would"


def test_many_batches_of_a_wide_layer_cost_no_decomposition(monkeypatch):
    """A recipe's null space reads five million tokens: a decomposition a thousand of them took days."""
    monkeypatch.setattr(torch.linalg, "svd", None)
    spectrum = SketchedSpectrum(64, 8, CPU)
    draw = torch.Generator().manual_seed(0)
    with monkeypatch.context() as patch:
        patch.setattr(torch.linalg, "eigh", None)
        for _ in range(20):
            spectrum.add(torch.randn(50, 64, generator=draw))
    assert spectrum.tokens == 1000
    assert spectrum.null_space("input", Energy(0.1)).free < 64
