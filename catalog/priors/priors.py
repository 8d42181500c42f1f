"""Priors: everything that a catalog knows about a question without its model, as a few numbers for some hundred items.

Each source finds the items that it thinks best, and says of all that were found how well they fit. What they say is
joined by the weights of `weights.py`.

N items, H items of a history, C candidates, F features.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from catalog.data.items import Items
from catalog.priors import clicks, ease, intents, item_knn, taste, transitions
from catalog.priors.events import TrainingEvents, newest_distinct, sum_of_rows
from catalog.priors.learned import Learned, learn
from catalog.priors.taste import TASTE_FEATURES
from catalog.priors.words import WORD_FEATURES, WordFeatures, WordSettings, analyzer, queries_of_items, words_of

__all__ = ["FEATURES", "Candidates", "PriorSettings", "Priors"]

CLICK_FEATURES = ("same_clicks", "alike_clicks", "intent")
NEIGHBOUR_FEATURES = ("ease", "transitions", "item_knn")
FEATURES: tuple[str, ...] = (*WORD_FEATURES, *CLICK_FEATURES, *NEIGHBOUR_FEATURES, *TASTE_FEATURES, "popularity")
"""The names of all features. All but `intent` are from 0 to 1; it is a logarithm, seldom over 5."""
COLUMN = {name: place for place, name in enumerate(FEATURES)}

MAX_ALIKE = 100
"""Queries like the one that is asked whose items count."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PriorSettings:
    """How the sources are fitted and asked.

    listed: items that each source finds for a question.
    """

    words: WordSettings = field(default_factory=WordSettings)
    alike: clicks.ClickSettings = field(
        default_factory=lambda: clicks.ClickSettings(same_words=0.5, shared_words=0.5, sharpness=4.0)
    )
    ease: ease.EaseSettings = field(default_factory=ease.EaseSettings)
    transitions: transitions.TransitionSettings = field(default_factory=transitions.TransitionSettings)
    item_knn: item_knn.ItemKnnSettings = field(default_factory=item_knn.ItemKnnSettings)
    listed: int = 100


@dataclass(frozen=True, slots=True, eq=False)
class Candidates:
    """Items that sources found for a question, and what they say about them.

    item_C: int64, ascending.
    value_CF: float32, the features in the order of FEATURES.
    """

    item_C: NDArray[np.int64]
    value_CF: NDArray[np.float32]


Sparse = tuple[NDArray[np.int64], NDArray[np.float64]]
"""Items, ascending, and what a source says of each; of all others it says 0."""


class Priors:
    """The fitted sources of one catalog.

    items: the catalog.
    learned: what its events teach; nothing where a shop is new.
    """

    def __init__(self, items: Items, learned: Learned, settings: PriorSettings | None = None) -> None:
        self.settings = settings or PriorSettings()
        self.learned = learned
        self._split = _words(self.settings)
        self._clicks = clicks.of_counts(learned.queries, learned.count_TN, self._split)
        self._words = WordFeatures(
            items, self.settings.words, {"queries": queries_of_items(learned.queries, learned.count_TN)}
        )
        self._taste = taste.fit(items)
        number_of = {word: number for number, word in enumerate(learned.intent_words)}
        self._intents = intents.Intents(_from_zero(self._taste.category_N), number_of, learned.evidence_VG)
        most = max(np.log1p(learned.events_N.max(initial=0)), 1)
        self.popularity_N: NDArray[np.float32] = (np.log1p(learned.events_N) / most).astype(np.float32)
        """log(1 + n) of the n events of every item, divided by the greatest: the static part of the prior."""
        self._popular = np.sort(np.argsort(-learned.events_N, kind="stable")[: self.settings.listed])

    @classmethod
    def fit(cls, items: Items, events: TrainingEvents, settings: PriorSettings | None = None) -> Priors:
        """The sources of a catalog and its events, whose item numbers are rows of the catalog."""
        settings = settings or PriorSettings()
        neighbours = settings.ease, settings.transitions, settings.item_knn
        categories = _from_zero(taste.fit(items).category_N)
        return cls(items, learn(events, categories, _words(settings), neighbours), settings)

    @classmethod
    def of_items(cls, items: Items, settings: PriorSettings | None = None) -> Priors:
        """The sources of a new shop, which has no events yet."""
        none = np.empty(0, np.int64)
        return cls.fit(items, TrainingEvents(0, len(items), none, none, none, ()), settings)

    def candidates(self, query: str | None, history_H: NDArray[np.int64]) -> Candidates:
        """What the sources say about a question.

        query: as it was typed; None for a recommendation.
        history_H: the items of the history, int64, oldest first.
        """
        listed = self.settings.listed
        said: dict[str, Sparse] = self._neighbours(history_H)
        found = [_best(source, listed) for source in said.values()]
        if query is not None:
            said |= self._taken_after(query)
            found += [_best(said["same_clicks"], listed), _best(said["alike_clicks"], listed)]
            by_words = self._words.find(query, 2 * listed)
            found.append(by_words.items)
        found.append(self._popular)
        item_C = np.unique(np.concatenate(found))
        value_CF = np.zeros((len(item_C), len(FEATURES)), np.float32)
        for name, source in said.items():
            value_CF[:, COLUMN[name]] = _at(source, item_C)
        if query is not None:
            value_CF[:, : len(WORD_FEATURES)] = self._words.features(by_words, item_C)
            value_CF[:, COLUMN["intent"]] = intents.score(self._intents, self._split(query), item_C)
        first = COLUMN[TASTE_FEATURES[0]]
        value_CF[:, first : first + len(TASTE_FEATURES)] = taste.score(self._taste, history_H, item_C)
        value_CF[:, COLUMN["popularity"]] = self.popularity_N[item_C]
        return Candidates(item_C, value_CF)

    def _neighbours(self, history_H: NDArray[np.int64]) -> dict[str, Sparse]:
        settings = self.settings
        return {
            name: _to_one(sum_of_rows(weight_NN, newest, decay ** np.arange(len(newest))))
            for name, weight_NN, last, decay in (
                ("ease", self.learned.ease_NN, settings.ease.last, settings.ease.decay),
                ("transitions", self.learned.transitions_NN, settings.transitions.last, settings.transitions.decay),
                ("item_knn", self.learned.item_knn_NN, settings.item_knn.last, settings.item_knn.decay),
            )
            for newest in [newest_distinct(history_H, last)]
        }

    def _taken_after(self, query: str) -> dict[str, Sparse]:
        same = replace(self.settings.alike, shared_words=0.0)
        taken = clicks.taken_after(self._clicks, query, [same, self.settings.alike], MAX_ALIKE)
        return dict(zip(("same_clicks", "alike_clicks"), map(_to_one, taken), strict=True))


def _words(settings: PriorSettings) -> Callable[[str], list[str]]:
    return partial(words_of, analyzer(settings.words.language))


def _from_zero(category_N: NDArray[np.int64]) -> NDArray[np.int64]:
    """The categories with one of their own for items that have none."""
    return np.where(category_N < 0, category_N.max(initial=-1) + 1, category_N)


def _to_one(source: Sparse) -> Sparse:
    """The same with 1 for the best item."""
    item_S, value_S = source
    return item_S, value_S / max(value_S.max(initial=0), 1e-9)


def _best(source: Sparse, count: int) -> NDArray[np.int64]:
    item_S, value_S = source
    if len(item_S) <= count:
        return item_S
    return np.asarray(item_S[np.argpartition(-value_S, count)[:count]])


def _at(source: Sparse, item_C: NDArray[np.int64]) -> NDArray[np.float64]:
    """What a source says about some items."""
    item_S, value_S = source
    if len(item_S) == 0:
        return np.zeros(len(item_C))
    place_C = np.searchsorted(item_S, item_C).clip(max=len(item_S) - 1)
    return np.where(item_S[place_C] == item_C, value_S[place_C], 0.0)
