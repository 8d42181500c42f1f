"""Chooses the learning rate of every row of the ablation table, on the validation questions, before rows are compared.

A method that runs at another one's rate is handicapped. So each row is trained with one seed at every rate of a grid,
and the rate with the best mean over the tasks of NDCG@10 on the validation questions is the row's, for all seeds. A
task with few questions has no say where another has more. While the best rate is the lowest or the highest tried, the
grid grows by one beyond it, up to MAX_FURTHER times.

A method has one rate: that of its own weights is also that of the others, which AdamW trains.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from trainer.core.errors import TrainerError
from trainer.core.progress import print_line

__all__ = ["DEFAULT_RATES", "Tuning", "rate_settings", "tune_rate"]

DEFAULT_RATES = (1e-3, 2e-3, 4e-3)
MAX_FURTHER = 2
METRIC = "ndcg@10"

RATES_OF_METHODS = {
    "gems": ("gems.lr", "gems.adamw_lr"),
    "single_subspace": ("gems.lr", "gems.adamw_lr"),
    "full": ("full.lr",),
    "lora": ("lora.lr", "gems.adamw_lr"),
    "lora_moe": ("lora_moe.lr", "gems.adamw_lr"),
}
"""For each method, the settings that its learning rate is written into."""


@dataclass(frozen=True, slots=True)
class Tuning:
    """What was tried for a row.

    rate: the best learning rate.
    scores: of each rate that was tried, the mean over the tasks of NDCG@10 on the validation questions.
    """

    rate: float
    scores: dict[float, float]

    def as_json(self) -> dict[str, Any]:
        scores = {f"{rate:g}": round(score, 6) for rate, score in sorted(self.scores.items())}
        return {"rate": self.rate, "metric": METRIC, "questions": "validation", "scores": scores}


def rate_settings(method: str, rate: float) -> list[str]:
    """The settings that give a method this learning rate."""
    return [f"{name}={rate!r}" for name in RATES_OF_METHODS[method]]


def tune_rate(row: str, rates: Sequence[float], report_at: Callable[[float], dict[str, Any]]) -> Tuning:
    """The best rate of a row. One rate alone is taken as it is.

    report_at: trains at a rate, and returns the `tasks` of its report on the validation questions.

    Raises TrainerError if there are none.
    """
    if len(rates) == 1:
        return Tuning(rates[0], {})
    scores: dict[float, float] = {}

    def score(rate: float) -> None:
        tasks = report_at(rate)
        if not tasks:
            raise TrainerError("the split has no validation question to choose a learning rate by: name one in --rates")
        models = [figures["model"] for figures in tasks.values()]
        trusted = [figures for figures in models if not figures.get("few")] or models
        scores[rate] = statistics.mean(float(figures[METRIC]) for figures in trusted)

    for rate in rates:
        score(rate)
    for _ in range(MAX_FURTHER):
        tried = sorted(scores)
        best = _best(scores)
        if best == tried[0]:
            score(tried[0] ** 2 / tried[1])
        elif best == tried[-1]:
            score(tried[-1] ** 2 / tried[-2])
        else:
            break
    chosen = _best(scores)
    print_line(f"{row}: learning rate {chosen:g}, by {METRIC} on the validation questions")
    return Tuning(chosen, scores)


def _best(scores: dict[float, float]) -> float:
    """The rate with the highest score; of equal ones the lowest."""
    return min(scores, key=lambda rate: (-scores[rate], rate))
