"""The sources of `catalog/priors` as baselines: what of each is tuned, and how it is fitted and asked.

Settings are of two kinds: those that take a new fit, and those with which a fitted source is asked.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from itertools import product
from typing import Any

import numpy as np
import scipy.sparse as sp

from catalog.priors import clicks, popularity, words
from catalog.priors.events import TrainingEvents
from catalog.priors.neighbours import ease, item_knn, transitions
from catalog.text.prompts import TASKS, Task
from trainer.evaluation.baselines.asked import Asked, Scores

__all__ = ["Bm25", "ClicksBaseline", "EaseBaseline", "ItemKnn", "Popularity", "Settings", "Source", "Transitions"]

Settings = dict[str, Any]

RECENT: tuple[Settings, ...] = tuple(
    {"last": last, "decay": decay}
    for last, decay in [(5, 0.6), (20, 0.9), *product((2, 3, 5, 10, 20, 50), (0.4, 0.6, 0.8, 1.0))]
)
STEMMERS = ("english", None)
MIXES = 30
"""How many weights of the fields of BM25 are tried."""
LARGE_SIDE = 3_000
"""Rows of a matrix from which on EASE tries fewer penalties."""


class Source(ABC):
    """One baseline.

    name: what reports call it.
    tasks: the tasks that it answers.
    answers_all: whether every item is an answer, however badly it scores, rather than only those that score above 0.
    asks: the settings with which it can be asked. Fits are compared with the first two.
    first_is_plain: whether the first of them is the plainest, which stays unless another is clearly better.
    """

    name: str
    tasks: tuple[Task, ...] = TASKS
    answers_all: bool = True
    asks: Sequence[Settings] = RECENT
    first_is_plain: bool = False

    @abstractmethod
    def fits(self) -> Iterator[tuple[Settings, Any]]:
        """Every setting that takes a new fit, with the model that it gives, one after the other."""

    @abstractmethod
    def fit(self, settings: Settings) -> Any:
        """The model that one of these settings gives."""

    def prepare(self, model: Any, asked: Asked) -> Any:
        """What a model says of these questions, so far as that does not depend on how it is asked."""
        return model

    @abstractmethod
    def score(self, prepared: Any, asked: Asked, settings: Settings) -> Scores:
        """The scores of all items for all questions, from what `prepare` returned."""


class Popularity(Source):
    """The items with the most events."""

    name = "popularity"
    asks = ({},)

    def __init__(self, events: TrainingEvents) -> None:
        self._events = events

    def fits(self) -> Iterator[tuple[Settings, np.ndarray]]:
        yield {}, self.fit({})

    def fit(self, settings: Settings) -> np.ndarray:
        return popularity.fit(self._events)

    def score(self, prepared: np.ndarray, asked: Asked, settings: Settings) -> np.ndarray:
        return np.tile(prepared, (len(asked), 1))


class ItemKnn(Source):
    name = "item_knn"
    neighbours = (50, 200, 1_000)
    shrinkages = (0.0, 5.0, 20.0, 100.0)

    def __init__(self, events: TrainingEvents) -> None:
        self._events = events

    def fits(self) -> Iterator[tuple[Settings, sp.csr_matrix]]:
        for shrinkage in self.shrinkages:
            widest = self.fit({"neighbours": max(self.neighbours), "shrinkage": shrinkage})
            for count in self.neighbours:
                yield {"neighbours": count, "shrinkage": shrinkage}, item_knn.strongest(widest, count)

    def fit(self, settings: Settings) -> sp.csr_matrix:
        return item_knn.fit(self._events, item_knn.ItemKnnSettings(**settings))

    def score(self, prepared: sp.csr_matrix, asked: Asked, settings: Settings) -> sp.csr_matrix:
        return item_knn.score(prepared, asked.histories, item_knn.ItemKnnSettings(**settings))


class Transitions(Source):
    name = "transitions"

    def __init__(self, events: TrainingEvents) -> None:
        self._events = events

    def fits(self) -> Iterator[tuple[Settings, sp.csr_matrix]]:
        for (window, step), backward, shrinkage in product(((5, 0.7), (10, 0.8)), (0.0, 0.5, 1.0), (0.0, 20.0, 100.0)):
            settings = {"window": window, "step": step, "backward": backward, "shrinkage": shrinkage}
            yield settings, self.fit(settings)

    def fit(self, settings: Settings) -> sp.csr_matrix:
        return transitions.fit(self._events, transitions.TransitionSettings(**settings))

    def score(self, prepared: sp.csr_matrix, asked: Asked, settings: Settings) -> sp.csr_matrix:
        return transitions.score(prepared, asked.histories, transitions.TransitionSettings(**settings))


class EaseBaseline(Source):
    name = "ease"
    asks = ({"last": 20, "decay": 0.9}, *RECENT)

    def __init__(self, events: TrainingEvents) -> None:
        self._events = events

    def fits(self) -> Iterator[tuple[Settings, ease.Ease]]:
        small = min(self._events.users, self._events.items) < LARGE_SIDE
        for penalty in (150.0, 50.0, 400.0, 1000.0) if small else (150.0, 500.0):
            yield {"penalty": penalty}, self.fit({"penalty": penalty})

    def fit(self, settings: Settings) -> ease.Ease:
        return ease.fit(self._events, ease.EaseSettings(**settings))

    def score(self, prepared: ease.Ease, asked: Asked, settings: Settings) -> np.ndarray:
        return ease.score(prepared, asked.histories, ease.EaseSettings(**settings))


class ClicksBaseline(Source):
    name = "clicks"
    tasks = ("search",)
    answers_all = False
    asks = tuple(
        {"same_words": same, "shared_words": shared, "sharpness": sharpness}
        for same, (shared, sharpness) in product(
            (0.5, 1.0), ((0.5, 2.0), (0.1, 1.0), (0.0, 1.0), (0.5, 4.0), (1.0, 3.0), (1.0, 6.0))
        )
    )

    def __init__(self, events: TrainingEvents) -> None:
        self._events = events

    def fits(self) -> Iterator[tuple[Settings, clicks.Clicks]]:
        for language in STEMMERS:
            yield {"language": language}, self.fit({"language": language})

    def fit(self, settings: Settings) -> clicks.Clicks:
        return clicks.fit(self._events, partial(words.words_of, words.analyzer(settings["language"])))

    def score(self, prepared: clicks.Clicks, asked: Asked, settings: Settings) -> sp.csr_matrix:
        return clicks.score(prepared, asked.queries, clicks.ClickSettings(**settings))


class Bm25(Source):
    """BM25 over one text of each item and, beside it, over its fields.

    main: the field that counts once; the others' weights are tuned.
    """

    tasks = ("search",)
    answers_all = False
    first_is_plain = True

    def __init__(self, name: str, fields: Mapping[str, Sequence[str]], main: str, seed: int) -> None:
        self.name = name
        self._fields = fields
        others = [field for field in fields if field != main]
        drawn = np.random.default_rng(seed).random((MIXES, 2, len(others)))
        # Half of the fields are left out of each mix, as most help little.
        mixes = np.where(drawn[:, 0] < 0.5, 0, np.round(drawn[:, 1], 2))
        mixes[:1] = 0
        self.asks = [{"weights": {main: 1.0, **dict(zip(others, mix.tolist(), strict=True))}} for mix in mixes]

    def fits(self) -> Iterator[tuple[Settings, words.WordIndex]]:
        for language in STEMMERS:
            yield {"language": language}, self.fit({"language": language})

    def fit(self, settings: Settings) -> words.WordIndex:
        return words.fit(self._fields, words.WordSettings(**settings))

    def prepare(self, model: words.WordIndex, asked: Asked) -> np.ndarray:
        """The scores of all fields: float32 [F, Q, N]."""
        scores = words.field_scores(model, asked.queries)
        return np.stack([scores[name].astype(np.float32).toarray() for name in self._fields])

    def score(self, prepared: np.ndarray, asked: Asked, settings: Settings) -> np.ndarray:
        weight_F = np.array([settings["weights"][name] for name in self._fields], np.float32)
        return np.asarray(np.einsum("fqn,f->qn", prepared[weight_F > 0], weight_F[weight_F > 0]))
