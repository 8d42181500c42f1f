"""Chooses each baseline's settings on the validation questions of a task, and never looks at others.

All fits are compared, each asked in the source's first two ways; the best is then asked in every way. What decides is
NDCG@10; of equal settings the first stays. Where a task has no validation questions, the first settings are taken.
A source whose first way of asking is the plain one keeps it unless the best gains more than one standard error of the
paired difference (the rule of one standard error of Breiman et al., 1984): the best of many random ways is otherwise
the luckiest of validation, and the baseline would be asked worse than it can be.

Q questions, N items.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from catalog.text.prompts import Task
from trainer.evaluation.baselines.asked import Asked, answer_ranks
from trainer.evaluation.baselines.sources import Settings, Source
from trainer.evaluation.metrics import gains

__all__ = ["Chosen", "tune"]

CUTOFF = 10
CONTRASTS = 2
"""Ways of asking with which fits are compared."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """The settings that a source has for a task.

    model: the fitted source.
    fit, ask: the settings of the two kinds.
    compared: how many settings were compared.
    figures: how many validation questions were asked, and Recall and NDCG at 10 on them; no more if there were none.
    """

    model: Any
    fit: Settings
    ask: Settings
    compared: int
    figures: Mapping[str, float]


def tune(source: Source, asked: Mapping[Task, Asked], items: int) -> dict[Task, Chosen]:
    """The best settings of a source for each of its tasks, with the models that they give.

    asked: the validation questions of each task, perhaps none.
    items: how many the catalog has.
    """
    best: dict[Task, tuple[float, Settings, Any]] = {}
    fits = 0
    for settings, model in source.fits():
        fits += 1
        for task in asked:
            value = max(map(_ndcg, _ranks(source, model, asked[task], source.asks[:CONTRASTS], items)))
            if task not in best or value > best[task][0]:
                best[task] = value, settings, model
    compared = (fits - 1) * len(source.asks[:CONTRASTS]) + len(source.asks)
    return {
        task: _asked_best(source, fit, model, asked[task], items, compared) for task, (_, fit, model) in best.items()
    }


def _asked_best(source: Source, fit: Settings, model: Any, asked: Asked, items: int, compared: int) -> Chosen:
    ranks = _ranks(source, model, asked, source.asks, items)
    best = max(range(len(ranks)), key=lambda index: _ndcg(ranks[index]))
    if source.first_is_plain and not _clearly_better(ranks[best], ranks[0]):
        best = 0
    return Chosen(model, fit, source.asks[best], compared, _figures(ranks[best]))


def _clearly_better(ranks_Q: np.ndarray, plain_Q: np.ndarray) -> bool:
    """Whether the mean NDCG of the same questions is greater by more than one standard error of the difference."""
    difference_Q = gains(ranks_Q, "ndcg", CUTOFF) - gains(plain_Q, "ndcg", CUTOFF)
    if len(difference_Q) < 2:
        return False
    return bool(difference_Q.mean() > difference_Q.std(ddof=1) / np.sqrt(len(difference_Q)))


def _ranks(source: Source, model: Any, asked: Asked, asks: Sequence[Settings], items: int) -> list[np.ndarray]:
    """The ranks of the answers for each way of asking: int64 [Q] each."""
    ranks: list[list[np.ndarray]] = [[np.empty(0, np.int64)] for _ in asks]
    for block in asked.blocks(items):
        prepared = source.prepare(model, block)
        for own, ask in zip(ranks, asks, strict=True):
            own.append(answer_ranks(source.score(prepared, block, ask), block))
    return [np.concatenate(own) for own in ranks]


def _ndcg(ranks_Q: np.ndarray) -> float:
    return float(gains(ranks_Q, "ndcg", CUTOFF).mean()) if len(ranks_Q) else 0.0


def _figures(ranks_Q: np.ndarray) -> dict[str, float]:
    names = ("recall", "ndcg") if len(ranks_Q) else ()
    means = {f"{name}@{CUTOFF}": round(float(gains(ranks_Q, name, CUTOFF).mean()), 6) for name in names}
    return {"questions": len(ranks_Q), **means}
