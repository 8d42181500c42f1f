"""Calibration: the score of an item as the probability that it is the one which the question wants.

A score adds a weighed log-probability of the model and a prior, so how high it is depends on the question: an item
that has every word of a query scores high, and so do a hundred others. Therefore the *rivals* of a question count too,
which are its prior without the best item, summed as probabilities are:

    relevance = σ(score · s + rivals · r + offset)        rivals = log(1 + Σ exp g(i), over all listed i but the best)

This is Platt's scaling (1999), fitted on validation questions (`trainer/evaluation/guidance`). Rivals belong to the
question, and s is above 0, so within one answer relevance never rises while scores fall. Neither depends on how many
items are asked for, on filters or on pages, so an item is as relevant to a question on every page of its answer.

C listed items of a question, K items of an answer.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from catalog.errors import BundleError
from catalog.text.prompts import TASKS, Task

__all__ = [
    "UNCALIBRATED",
    "Calibration",
    "TaskCalibration",
    "open_calibrations",
    "relevances",
    "rivals_of",
    "save_calibrations",
]

MAX_LOGIT = 30.0
"""Beyond it a probability is 0 or 1 in every digit that is shown."""


@dataclass(frozen=True, slots=True)
class Calibration:
    """What one kind of score says.

    score: what it is multiplied by, above 0.
    rivals: what the rivals of a question are multiplied by.
    offset: what is added.
    usual: the share of right items among those of the answers that this was learned from.
    """

    score: float
    rivals: float
    offset: float
    usual: float

    def __post_init__(self) -> None:
        """Raises ValueError for numbers by which relevance would not be one, or would fall while scores rise."""
        if not all(map(math.isfinite, (self.score, self.rivals, self.offset, self.usual))):
            raise ValueError("the numbers of a calibration must be finite")
        if self.score <= 0 or not 0 <= self.usual <= 1:
            raise ValueError("a calibration needs a score above 0 and a usual share from 0 to 1")

    def as_json(self) -> dict[str, float]:
        """The inverse of `from_json`."""
        return {"score": self.score, "rivals": self.rivals, "offset": self.offset, "usual": self.usual}

    @classmethod
    def from_json(cls, values: Mapping[str, float]) -> Calibration:
        """Raises ValueError, KeyError and TypeError."""
        return cls(*(float(values[name]) for name in ("score", "rivals", "offset", "usual")))


@dataclass(frozen=True, slots=True)
class TaskCalibration:
    """The calibrations of one task: of guided scores, and of the model's own. None where nothing could be learned."""

    guided: Calibration | None = None
    model: Calibration | None = None

    def as_json(self) -> dict[str, dict[str, float]]:
        """Those that there are, by name."""
        every = {"guided": self.guided, "model": self.model}
        return {kind: one.as_json() for kind, one in every.items() if one is not None}

    @classmethod
    def from_json(cls, values: Mapping[str, Mapping[str, float]]) -> TaskCalibration:
        """Those that are named; whatever else is said of them is passed over. Raises as `Calibration.from_json`."""
        found = (values.get(kind) for kind in ("guided", "model"))
        return cls(*(None if own is None else Calibration.from_json(own) for own in found))


UNCALIBRATED: Mapping[Task, TaskCalibration] = dict.fromkeys(TASKS, TaskCalibration())


def rivals_of(value_C: NDArray[np.floating]) -> float:
    """log(1 + the sum of exp(g)) over all listed items of a question but the best. value_C: g of each."""
    if len(value_C) < 2:
        return 0.0
    rest = np.partition(value_C.astype(np.float64), -1)[:-1]
    most = max(0.0, float(rest.max()))
    return most + math.log(math.exp(-most) + float(np.exp(rest - most).sum()))


def relevances(
    scores: Sequence[float], rivals: float, calibration: Calibration, *, nothing_fits: bool = False
) -> list[float]:
    """The probability of each item of an answer.

    rivals: of the question; 0 where the model ranked alone.
    nothing_fits: whether no item has anything of what was typed. Hardly any question that a calibration is learned
        from is such, so none of the items then counts for more than a usual item of an answer does.
    """
    level = calibration.rivals * rivals + calibration.offset
    most = calibration.usual if nothing_fits else 1.0
    logit_K = calibration.score * np.array(scores, np.float64) + level
    logit_K = np.minimum(MAX_LOGIT, np.maximum(-MAX_LOGIT, logit_K))
    found: list[float] = np.minimum(most, 1.0 / (1.0 + np.exp(-logit_K))).tolist()
    return found


def save_calibrations(calibrations: Mapping[Task, TaskCalibration], file: Path) -> None:
    """Write what there is of each task."""
    file.write_text(
        json.dumps({task: own.as_json() for task, own in calibrations.items()}, indent=2) + "\n", encoding="utf-8"
    )


def open_calibrations(file: Path) -> dict[Task, TaskCalibration]:
    """Read those of each task. Raises BundleError."""
    try:
        values = json.loads(file.read_text(encoding="utf-8"))
        return {task: TaskCalibration.from_json(values.get(task, {})) for task in TASKS}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
        raise BundleError(f"cannot read the calibration in {file}: {error!r}; publish the bundle again") from error
