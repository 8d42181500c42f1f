"""The card that is measured: its name, and the bandwidth and the rate of matrix products that it reaches here."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version

import torch

__all__ = ["Card", "Speed", "elapsed", "measure_speed"]

COPIES, PRODUCTS = 10, 10


@dataclass(frozen=True, slots=True)
class Card:
    """A GPU, or the processor in its place.

    memory_gib: of the card; None for a processor.
    runtime: the version of CUDA that torch was built with.
    """

    name: str
    memory_gib: float | None
    multiprocessors: int | None
    runtime: str | None
    transformers: str | None

    @classmethod
    def here(cls, device: str) -> Card:
        """The card that "cuda" names, or the processor."""
        if device == "cpu":
            return cls("cpu", None, None, None, _version("transformers"))
        found = torch.cuda.get_device_properties(0)
        memory = round(found.total_memory / 2**30, 1)
        return cls(found.name, memory, found.multi_processor_count, torch.version.cuda, _version("transformers"))


@dataclass(frozen=True, slots=True)
class Speed:
    """What the card reaches.

    bandwidth: bytes a second of a copy inside its memory, those read and those written.
    flops: operations a second of a bfloat16 matrix product.
    """

    bandwidth: float
    flops: float


def measure_speed(device: str) -> Speed:
    """The speeds of this card, by a large copy and a large product; smaller ones on a processor."""
    size = 1 << 30 if device != "cpu" else 1 << 24
    source = torch.zeros(size, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    copy_seconds = elapsed(lambda: target.copy_(source), device, COPIES)
    width = 8192 if device != "cpu" else 256
    left, right = (torch.randn(width, width, device=device).bfloat16() for _ in range(2))
    product_seconds = elapsed(lambda: left @ right, device, PRODUCTS)
    return Speed(2 * size / copy_seconds, 2 * width**3 / product_seconds)


def elapsed(call: Callable[[], object], device: str, times: int) -> float:
    """The mean seconds of a call, after one that is not counted."""
    call()
    synchronize(device)
    began = time.perf_counter()
    for _ in range(times):
        call()
    synchronize(device)
    return (time.perf_counter() - began) / times


def synchronize(device: str) -> None:
    """Wait until the device has done all that it was asked to."""
    if device != "cpu":
        torch.cuda.synchronize()


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
