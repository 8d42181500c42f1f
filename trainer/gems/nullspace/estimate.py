"""Estimates the null spaces of all projected layers, in one pass over a corpus of general text.

The released code runs the corpus once for every layer.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from trainer.config.gems import PROJECTED_MODULES
from trainer.core.errors import NullSpaceError
from trainer.gems.nullspace.space import Energy, NullSpace, Side, Threshold
from trainer.gems.nullspace.spectrum import ExactSpectrum, SketchedSpectrum, Spectrum
from trainer.gems.parameters import projected_modules

__all__ = ["estimate_null_spaces"]


def estimate_null_spaces(
    model: nn.Module,
    batches: Iterable[Mapping[str, Tensor]],
    *,
    side: Side = "output",
    threshold: Threshold = Energy(),  # noqa: B008 -- frozen
    modules: Sequence[str] = PROJECTED_MODULES,
    exact_width: int = 4096,
    sketch_rows: int = 1024,
) -> dict[str, NullSpace]:
    """The null space of every projected layer, by the layer's name.

    model: the model that reads the corpus, in evaluation mode while it does.
    batches: keyword arguments of the model, tensors [batch, positions]: input_ids and attention_mask, and for an
        encoder-decoder decoder_input_ids and decoder_attention_mask. Positions with mask 0 do not count.
    side: whether the layers' outputs or their inputs are protected.
    threshold: what decides how many directions are protected.
    modules: the last part of the projected layers' names.
    exact_width: the greatest width of a layer's side whose second moment is kept whole; a wider one is sketched.
    sketch_rows: how many directions a sketch keeps.

    Raises NullSpaceError, naming the layer, for one that saw no token, or fewer tokens than it is wide. So few cannot
    show every direction that text uses, and one that was not shown would be taken for free.
    """
    layers = projected_modules(model, modules)
    spectra: dict[str, Spectrum] = {}
    for name, module in layers.items():
        width = module.weight.shape[0 if side == "output" else 1]
        device = module.weight.device
        exact = width <= exact_width
        spectra[name] = ExactSpectrum(width, device) if exact else SketchedSpectrum(width, sketch_rows, device)
    current: dict[str, Tensor] = {}

    def observe(name: str, module: nn.Module, args: tuple[Any, ...], output: Tensor) -> None:
        values = (output if side == "output" else args[0]).detach()
        rows_TW = values.reshape(-1, values.shape[-1])
        mask = _mask_of(name, current)
        if mask is not None:
            rows_TW = rows_TW[mask.reshape(-1).bool()]
        spectra[name].add(rows_TW.float())

    with _hooked(layers, observe), _evaluating(model), torch.no_grad():
        device = next(model.parameters()).device
        for batch in batches:
            current = {key: value.to(device) for key, value in batch.items()}
            model(**current)
    for name, module in layers.items():
        _check(name, spectra[name], module.weight.shape[0 if side == "output" else 1])
    return {name: spectrum.null_space(side, threshold) for name, spectrum in spectra.items()}


def _mask_of(name: str, batch: Mapping[str, Tensor]) -> Tensor | None:
    """The attention mask of the positions that a layer sees; None where the batch has none.

    In a decoder, keys and values of cross-attention see the encoder's positions.
    """
    parts = name.split(".")
    cross = "EncDecAttention" in parts and parts[-1] in ("k", "v")
    return batch.get("decoder_attention_mask" if "decoder" in parts and not cross else "attention_mask")


def _check(name: str, spectrum: Spectrum, width: int) -> None:
    tokens = spectrum.tokens
    if tokens == 0:
        raise NullSpaceError(f"{name} saw no token: the corpus is empty, or its batches do not run this layer")
    if tokens < width:
        raise NullSpaceError(
            f"the corpus has {tokens} tokens for {name}, which is {width} wide: give it at least {width}, better ten "
            "times that, by a text file, null_space.corpus=FILE, and enough null_space.texts of it, "
            "or train without a null space, by gems.null_space=false"
        )
    if not math.isfinite(spectrum.trace):
        raise NullSpaceError(
            f"{name} gave values that are not finite: the checkpoint is damaged, or its type too narrow"
        )


@contextmanager
def _hooked(layers: Mapping[str, nn.Module], observe: Any) -> Iterator[None]:
    handles = [module.register_forward_hook(partial(observe, name)) for name, module in layers.items()]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


@contextmanager
def _evaluating(model: nn.Module) -> Iterator[None]:
    training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(training)
