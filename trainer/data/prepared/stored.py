"""Histories as files that are mapped into memory: all ranks of a machine share them, and read what they look at.

items.i64, queries.i64, times.i64, starts.i64   the arrays of `Histories`
weights.f64                                     what each event counts, where it is not 1 for all
users.arrow, texts.arrow                        the users' ids, and the distinct queries
search.i64, recommendation.i64, …               what draws of events look up (`draws.py`)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from trainer.data.histories import Histories
from trainer.data.prepared.texts import StoredTexts

__all__ = ["NUMBERS", "PIECE", "StoredHistories", "mapped", "open_histories", "write_renumbered"]

NUMBERS = ("items", "queries", "times")
PIECE = 1 << 20


@dataclass(frozen=True, slots=True)
class StoredHistories(Histories):
    """Histories whose arrays are mapped.

    folder: where their files are.
    """

    folder: Path = field(kw_only=True)


def mapped(path: Path) -> np.ndarray:
    """A file of numbers of eight bytes, read-only. path: ends in .i64 or .f64."""
    kind = f"{path.suffix[1]}8"
    return np.memmap(path, kind, "r") if path.stat().st_size else np.empty(0, kind)


def open_histories(folder: Path, users: Sequence[str] | None = None) -> StoredHistories:
    """The histories of a folder. users: their ids, where the folder lacks them."""
    weights = folder / "weights.f64"
    items_E, queries_E, times_E = (mapped(folder / f"{name}.i64") for name in NUMBERS)
    return StoredHistories(
        StoredTexts(folder / "users.arrow") if users is None else users,
        mapped(folder / "starts.i64"),
        items_E,
        queries_E,
        times_E,
        StoredTexts(folder / "texts.arrow"),
        mapped(weights) if weights.exists() else None,
        folder=folder,
    )


def write_renumbered(numbers_E: np.ndarray, new_number: np.ndarray, path: Path) -> None:
    """Write other numbers for numbers, a piece after the other. new_number: int64, by the old ones."""
    with path.open("wb") as file:
        for begin in range(0, len(numbers_E), PIECE):
            new_number[numbers_E[begin : begin + PIECE]].tofile(file)
