"""All baselines of a split, tuned once, and then asked for any questions and candidates.

Q questions, N items.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import scipy.sparse as sp

from catalog.data.items import Items
from catalog.priors import clicks, words
from catalog.priors.events import TrainingEvents
from catalog.text.prompts import TASKS, Task
from trainer.core.progress import print_line
from trainer.data.histories import MAX_COUNTED, Histories
from trainer.data.questions import Question, Split, drawn_questions
from trainer.evaluation.baselines.asked import Asked
from trainer.evaluation.baselines.sources import (
    Bm25,
    ClicksBaseline,
    EaseBaseline,
    ItemKnn,
    Popularity,
    Source,
    Transitions,
)
from trainer.evaluation.baselines.tuning import Chosen, tune
from trainer.evaluation.candidates import Candidates, whole_catalog

__all__ = ["TunedBaselines", "training_events"]

MAX_VALIDATION = 1_000
"""Validation questions of a task that settings are compared on, drawn by the seed where there are more."""
MAX_SCORES = 50_000_000
"""Scores for which there are fewer, but not fewer than MIN_VALIDATION."""
MIN_VALIDATION = 200
TIE = 1e-9
"""What popularity weighs, against the best score, among items of equal scores."""


class TunedBaselines:
    """Every baseline with its best settings for each task that the split asks."""

    def __init__(self, items: Items, split: Split, *, exclude_seen: bool, seed: int = 0) -> None:
        """Fits and tunes all of them, and prints how long each took.

        items: the catalog, whose rows are the items of the split.
        split: its training events are learned from and its validation questions tuned on; its test is not looked at.
        exclude_seen: whether recommendations leave out the items of the user's history.
        seed: what the validation questions and the weights that are tried are drawn from.
        """
        events = training_events(split.train, len(items))
        self._full, self._items, self._exclude_seen = split.full, len(items), exclude_seen
        self._popularity_N = Popularity(events).fit({})
        validation = {task: self._validation(split, task, seed) for task in TASKS}
        self._tuned: list[tuple[Source, dict[Task, Chosen]]] = []
        for source in _sources(items, events, seed):
            began = time.monotonic()
            chosen = tune(source, {task: validation[task] for task in source.tasks}, len(items))
            compared = next(iter(chosen.values())).compared
            self._tuned.append((source, chosen))
            print_line(f"baseline {source.name}: {compared} settings compared in {time.monotonic() - began:.1f} s")

    def rank(
        self, task: Task, questions: Sequence[Question], candidates: Sequence[Candidates], k: int
    ) -> dict[str, list[np.ndarray]]:
        """For every baseline, the best candidates of every question: int64 [k or fewer] each.

        Where a baseline says something about words, items without any are no answer, so a ranking may be shorter.
        """
        asked = Asked.of(self._full, questions, candidates)
        return {
            source.name: self._rankings(source, chosen[task], asked, k)
            for source, chosen in self._tuned
            if task in source.tasks
        }

    def report(self, task: Task) -> dict[str, Any]:
        """For every baseline: its `settings`, how many were `compared`, and its `validation` figures."""
        return {
            source.name: {
                "settings": chosen[task].fit | chosen[task].ask,
                "compared": chosen[task].compared,
                "validation": dict(chosen[task].figures),
            }
            for source, chosen in self._tuned
            if task in source.tasks
        }

    def _validation(self, split: Split, task: Task, seed: int) -> Asked:
        enough = max(MIN_VALIDATION, min(MAX_VALIDATION, MAX_SCORES // self._items))
        questions = drawn_questions(split.validation, task, enough, seed=seed)
        return Asked.of(split.full, questions, whole_catalog(split.full, questions, exclude_seen=self._exclude_seen))

    def _rankings(self, source: Source, chosen: Chosen, asked: Asked, k: int) -> list[np.ndarray]:
        rankings = []
        for block in asked.blocks(self._items):
            scores = source.score(source.prepare(chosen.model, block), block, chosen.ask)
            for row, own in enumerate(block.candidates):
                score_N = scores[row].toarray().ravel() if isinstance(scores, sp.csr_matrix) else scores[row]
                rankings.append(self._best(score_N, own, k, answers_all=source.answers_all))
        return rankings

    def _best(self, score_N: np.ndarray, own: Candidates, k: int, *, answers_all: bool) -> np.ndarray:
        if not answers_all:
            best_K = own.best(score_N, k)
            return np.asarray(best_K[score_N[best_K] > 0])
        popularity_N = self._popularity_N / max(self._popularity_N.max(), 1)
        return own.best(score_N + popularity_N * TIE * max(score_N.max(), TIE), k)


def training_events(train: Histories, items: int) -> TrainingEvents:
    """The training histories as the sources take them.

    Of more than MAX_COUNTED events, those of a sample of the users, each of which counts for as many as it stands for.
    """
    until = int(train.times_E.max(initial=0))
    own = train.sample(MAX_COUNTED)
    weight_E = own.weights_E
    if own is not train:
        weight_E = np.full(len(own), len(train) / len(own)) if weight_E is None else weight_E * len(train) / len(own)
    return TrainingEvents(len(own.users), items, own.user_E, own.items_E, own.queries_E, own.texts, until, weight_E)


def _sources(items: Items, events: TrainingEvents, seed: int) -> list[Source]:
    fields = words.item_fields(items)
    queries = words.queries_of_items(*clicks.count(events))
    both = [f"{text} {typed}" for text, typed in zip(fields["text"], queries, strict=True)]
    return [
        Popularity(events),
        ItemKnn(events),
        EaseBaseline(events),
        Transitions(events),
        ClicksBaseline(events),
        Bm25("bm25", fields, "text", seed),
        Bm25("bm25_with_queries", {"text_and_queries": both, **fields, "queries": queries}, "text_and_queries", seed),
    ]
