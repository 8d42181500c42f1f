"""Ranking metrics for questions with one right answer: hit, recall, NDCG, MRR and MAP at a cut-off.

With one right answer recall equals hit and MAP equals MRR. All are given, so that tables of other work can be compared.

With one right answer a metric is also one line of NumPy over ranks, so the bootstrap can draw a thousand samples of it.
`ir-measures` calls trec_eval on lists of strings and would be slow; a test compares these definitions with its.

Q questions, M metrics, S bootstrap samples.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from trainer.data.questions import Question

CUTOFFS = (5, 10, 20)
METRICS = ("hit", "recall", "ndcg", "mrr", "map")
NOT_FOUND = 0  # the rank of an answer that is absent from its ranking
MIN_QUESTIONS = 100  # fewer are too few for an interval to say much, and for a figure to be called the best
KNOWN, NEW = "known_item", "new_item"
KINDS = (KNOWN, NEW)


def ranks_of(rankings: list[np.ndarray], answers: np.ndarray) -> np.ndarray:
    """The rank of each answer in its ranking, int64 [Q]: 1 at the top, NOT_FOUND for one that is absent.

    answers: the right item of each question, int64 [Q].
    """
    return np.array([_rank(ranking, answer) for ranking, answer in zip(rankings, answers, strict=True)], dtype=np.int64)


def gains(ranks_Q: np.ndarray, metric: str, cutoff: int) -> np.ndarray:
    """What each question contributes to a metric, float64 [Q]. The metric is the mean of these.

    metric: one of METRICS; another one raises ValueError.
    cutoff: the last rank that counts.
    """
    found_Q = (ranks_Q != NOT_FOUND) & (ranks_Q <= cutoff)
    rank_Q = np.where(found_Q, ranks_Q, 1)
    if metric not in METRICS:
        raise ValueError(f"{metric} is none of {', '.join(METRICS)}")
    gain = {"ndcg": 1 / np.log2(rank_Q + 1), "mrr": 1 / rank_Q, "map": 1 / rank_Q}
    return np.where(found_Q, gain.get(metric, np.ones(len(ranks_Q))), 0.0)


def summarize(ranks_Q: np.ndarray, *, bootstrap: int = 1000, seed: int = 0) -> dict[str, object]:
    """Every metric at every cut-off, the number of `questions`, and bootstrap 95% `intervals` over questions.

    Where there are fewer questions than MIN_QUESTIONS, `few` is true.

    bootstrap: how many samples are drawn; 0 leaves the intervals out.
    seed: what they are drawn from.
    """
    names = [(metric, cutoff) for metric in METRICS for cutoff in CUTOFFS]
    gains_MQ = np.stack([gains(ranks_Q, metric, cutoff) for metric, cutoff in names])
    result: dict[str, object] = {
        f"{metric}@{cutoff}": round(float(mean), 6)
        for (metric, cutoff), mean in zip(names, gains_MQ.mean(1), strict=True)
    }
    result["questions"] = len(ranks_Q)
    if len(ranks_Q) < MIN_QUESTIONS:
        result["few"] = True
    if bootstrap:
        drawn = np.random.default_rng(seed).integers(0, len(ranks_Q), (bootstrap, len(ranks_Q)))
        means_MS = np.stack([gains_Q[drawn].mean(1) for gains_Q in gains_MQ])
        low_M, high_M = np.quantile(means_MS, [0.025, 0.975], axis=1)
        result["intervals"] = {
            f"{metric}@{cutoff}": [round(float(low), 6), round(float(high), 6)]
            for (metric, cutoff), low, high in zip(names, low_M, high_M, strict=True)
        }
    return result


def summarize_kinds(ranks_Q: np.ndarray, known_Q: np.ndarray, *, bootstrap: int = 1000) -> dict[str, object]:
    """The summary of all questions, and in it those of each kind that there is: `known_item` and `new_item`.

    known_Q: whether the right item stands in the question's history, from where it could be copied; bool.
    """
    kinds = {KNOWN: known_Q, NEW: ~known_Q}
    apart = {kind: summarize(ranks_Q[of_Q], bootstrap=bootstrap) for kind, of_Q in kinds.items() if of_Q.any()}
    return summarize(ranks_Q, bootstrap=bootstrap) | apart


def summarize_questions(
    rankings: list[np.ndarray], questions: Sequence[Question], *, bootstrap: int = 1000
) -> dict[str, object]:
    """The figures of the rankings for questions of one task: for searches also those of known and of new items.

    bootstrap: how many samples are drawn for the intervals; 0 leaves them out.
    """
    rank_Q = ranks_of(rankings, np.array([q.item for q in questions]))
    if all(q.task == "recommendation" for q in questions):
        return summarize(rank_Q, bootstrap=bootstrap)
    return summarize_kinds(rank_Q, np.array([q.known for q in questions]), bootstrap=bootstrap)


def _rank(ranking: np.ndarray, answer: int) -> int:
    places = np.flatnonzero(ranking == answer)
    return int(places[0]) + 1 if len(places) else NOT_FOUND
