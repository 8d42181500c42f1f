"""The parts of the benchmark: their names, and how many minutes each may take."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

__all__ = ["MINUTES", "part_module"]

MINUTES = {"exactness": 1.0, "search": 3.0, "training": 4.5}
"""Of an H100 or faster, the starts of all processes included; the shortest part is the first."""


def part_module(part: str) -> ModuleType:
    """The module of a part, which imports torch.

    It has WHOLE and SMALL sizes, `run(sizes, device, journal)`, `is_right(report)`, `setup_of(sizes)`, `show(report)`.
    """
    return import_module(f"loadtest.gpu.{part}_part")
