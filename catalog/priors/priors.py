"""Priors: everything that a catalog knows about a question without its model, as a few numbers for some hundred items.

Each source finds the items that it thinks best, and says of all that were found how well they fit. What they say is
joined by the weights of `weights.py`.

N items, H items of a history, C candidates, F features.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache, partial
from itertools import pairwise
from time import perf_counter
from typing import Any, Literal

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from catalog.data.items import Items
from catalog.priors import clicks, intents, taste
from catalog.priors.events import TrainingEvents
from catalog.priors.learned import Learned, learn
from catalog.priors.live.events import LiveEvents, Sparse
from catalog.priors.live.shown import NOTHING_SHOWN, SHOWN, Shown
from catalog.priors.neighbours import ease, item_knn, transitions
from catalog.priors.neighbours.next_kinds import NEXT_KINDS, NextKinds, known_kinds
from catalog.priors.taste import TASTE_FEATURES
from catalog.priors.words import (
    CONTENT_FEATURES,
    NO_WORDINGS,
    WORD_FEATURES,
    Match,
    WordFeatures,
    Wordings,
    WordSettings,
    analyzer,
    queries_of_items,
    words_of,
)

__all__ = ["FEATURES", "PRIOR_PARTS", "Candidates", "Fit", "PriorPart", "PriorSettings", "Priors"]

CLICK_FEATURES = ("same_clicks", "alike_clicks", "intent")
NEIGHBOUR_FEATURES = ("ease", "transitions", "item_knn")
FEATURES: tuple[str, ...] = (
    *WORD_FEATURES,
    *CLICK_FEATURES,
    *NEIGHBOUR_FEATURES,
    *NEXT_KINDS,
    *TASTE_FEATURES,
    *CONTENT_FEATURES,
    SHOWN,
    "popularity",
)
"""The names of all features. All but `intent` and the next kinds are from 0 to 1, which are logarithms."""
COLUMN = {name: place for place, name in enumerate(FEATURES)}

Fit = Literal["all", "some", "none"]
PriorPart = Literal["neighbours", "clicks", "words", "features"]
PRIOR_PARTS: tuple[PriorPart, ...] = ("neighbours", "clicks", "words", "features")
"""What takes time: to find items by each kind of source, and to say all features of those that were found."""
RECOMMENDATION_PARTS: tuple[PriorPart, ...] = ("neighbours", "features")
ALL_WORDS = 0.999
"""Of an item that has all words of a query the share that it has, less what rounding may take."""
IS_NAMED = [COLUMN["exact_title"], COLUMN["identifier"]]
HAS_WORDS = [COLUMN["covered"], COLUMN["same_clicks"], COLUMN["alike_clicks"]]

MAX_SPLIT = 256
"""Queries whose words are remembered."""
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
    words: the readings of each word of the question; None for a recommendation.
    seconds: how long each part took.
    """

    item_C: NDArray[np.int64]
    value_CF: NDArray[np.float32]
    words: Sequence[Mapping[str, float]] | None = None
    seconds: Mapping[PriorPart, float] = field(default_factory=dict)

    @property
    def fit(self) -> Fit:
        """How well the catalog fits what was typed: "all" where an item has all of its words, or is the one that it
        names; "some" where items have some of them or were taken after queries with some; else "none"."""
        most_F = self.value_CF.max(0, initial=0.0)
        if most_F[COLUMN["covered"]] > ALL_WORDS or most_F[IS_NAMED].any():
            return "all"
        return "some" if most_F[HAS_WORDS].any() else "none"


NOTHING: Sparse = (np.empty(0, np.int64), np.empty(0))
SOURCES = (*NEIGHBOUR_FEATURES, "same_clicks", "alike_clicks", "bm25")
"""What finds items by itself."""
SOURCE_COLUMNS = np.array([COLUMN[name] for name in SOURCES])
TASTE = slice(COLUMN[TASTE_FEATURES[0]], COLUMN[TASTE_FEATURES[-1]] + 1)
CONTENT = slice(COLUMN[CONTENT_FEATURES[0]], COLUMN[CONTENT_FEATURES[-1]] + 1)


class Priors:
    """The fitted sources of one state of a catalog.

    items: the catalog.
    learned: what its events teach; nothing where a shop is new.
    """

    def __init__(self, items: Items, learned: Learned, settings: PriorSettings | None = None) -> None:
        from catalog.priors import kernels  # not above: it loads numba, before which vLLM's process must have started

        self._kernels = kernels
        self.settings = settings or PriorSettings()
        self.learned = learned
        self._ways = [replace(self.settings.alike, shared_words=0.0), self.settings.alike]
        self._split = lru_cache(MAX_SPLIT)(_words(self.settings))  # several sources ask the same
        self.live = LiveEvents(learned, self.settings, self._split)
        self._count_NT = sp.csr_matrix(learned.count_TN.T)
        self._words = WordFeatures(
            items, self.settings.words, {"queries": queries_of_items(learned.queries, learned.count_TN)}
        )
        self._taste = taste.fit(items)
        self._categories, self._brands = len(self._taste.number_of_category), len(self._taste.number_of_brand)
        number_of = {word: number for number, word in enumerate(learned.intent_words)}
        category_N, brand_N = self._known_kinds()
        self._intents = intents.Intents(category_N, number_of, learned.evidence_VG)
        self._next = (
            NextKinds.of(learned.next_category_NG, learned.events_N, category_N, self._categories + 1),
            NextKinds.of(learned.next_brand_NB, learned.events_N, brand_N, self._brands + 1),
        )
        listed = self.settings.listed
        self._listed = np.array([listed] * (len(SOURCES) - 1) + [2 * listed])

    @property
    def popularity_N(self) -> NDArray[np.float32]:
        """log(1 + n) of the n events of every item, divided by the greatest: the static part of the prior."""
        return self.live.popularity_of_all()

    @classmethod
    def fit(cls, items: Items, events: TrainingEvents, settings: PriorSettings | None = None) -> Priors:
        """The sources of a catalog and its events, whose item numbers are rows of the catalog."""
        settings = settings or PriorSettings()
        neighbours = settings.ease, settings.transitions, settings.item_knn
        return cls(items, learn(events, taste.fit(items), _words(settings), neighbours), settings)

    @classmethod
    def of_items(cls, items: Items, settings: PriorSettings | None = None) -> Priors:
        """The sources of a new shop, which has no events yet."""
        none = np.empty(0, np.int64)
        return cls.fit(items, TrainingEvents(0, len(items), none, none, none, ()), settings)

    def candidates(
        self,
        query: str | None,
        history_H: NDArray[np.int64],
        *,
        prefix: bool = True,
        wordings: Wordings = NO_WORDINGS,
        shown: Shown = NOTHING_SHOWN,
    ) -> Candidates:
        """What the sources say about a question.

        query: as it was typed; None for a recommendation.
        history_H: the items of the history, int64, oldest first.
        prefix: whether the last word of the query may be the beginning of one.
        wordings: what the query is also read as; of every item the best that is said for any of them counts.
        shown: what the user was shown and left. It changes what is said of these items, and of no others.
        """
        own = self._candidates(query, history_H, prefix=prefix, kept=wordings.kept)
        others = [
            (self._candidates(other.text, history_H, prefix=False, kept=wordings.kept), other.stands_for)
            for other in wordings.others
        ]
        found = _merged(own, others) if others else own
        return self._with_shown(found, shown.of(self._words.present_N)) if len(shown) > 0 else found

    def _candidates(
        self, query: str | None, history_H: NDArray[np.int64], *, prefix: bool, kept: Collection[str]
    ) -> Candidates:
        moments = [perf_counter()]
        said = {**dict.fromkeys(SOURCES, NOTHING), **self._neighbours(history_H)}
        moments.append(perf_counter())
        further = self.live.popular(self.settings.listed)
        evidence = [own.evidence(history_H) for own in self._next]
        content = self._words.content(history_H)
        if query is None:
            further = np.concatenate([further, self._next[0].best_items(evidence[0])])
            if content is not None:
                further = np.concatenate([further, self._words.alike(int(history_H[-1]))])
        else:
            said |= self._taken_after(query)
            moments.append(perf_counter())
            by_words = self._words.find(query, 2 * self.settings.listed, prefix=prefix, kept=kept)
            said["bm25"] = by_words.item_S, by_words.score_S
            moments.append(perf_counter())
            further = np.array([*by_words.titled, *by_words.named, *by_words.begun, *further.tolist()], np.int64)
        of_sources, values = zip(*(said[name] for name in SOURCES), strict=True)
        item_C, value_CF = self._kernels.join(
            of_sources, values, SOURCE_COLUMNS, further, self._words.present_N, self._listed, len(FEATURES)
        )
        if query is not None:
            self._words.compare(by_words, item_C, value_CF)
            value_CF[:, COLUMN["intent"]] = intents.score(self._intents, self._split(query), item_C)
        for name, own, evidence_K in zip(NEXT_KINDS, self._next, evidence, strict=True):
            value_CF[:, COLUMN[name]] = own.score(evidence_K, item_C)
        value_CF[:, TASTE] = taste.score(self._taste, history_H, item_C)
        if content is not None:
            self._words.compare_content(content, item_C, value_CF[:, CONTENT])
        value_CF[:, COLUMN["popularity"]] = self.live.popularity(item_C)
        moments.append(perf_counter())
        parts = RECOMMENDATION_PARTS if query is None else PRIOR_PARTS
        seconds = {part: after - before for part, (before, after) in zip(parts, pairwise(moments), strict=True)}
        words = None if query is None else by_words.words
        return Candidates(item_C, value_CF, words, seconds)

    def of_texts(
        self, query: str, texts: Sequence[str], *, prefix: bool = True, wordings: Wordings = NO_WORDINGS
    ) -> NDArray[np.float32]:
        """What the sources say of texts that are no items, float32 [T, F]: only words know them, all others say 0.

        prefix, wordings: as in `candidates`.
        """
        value_TF = np.zeros((len(texts), len(FEATURES)), np.float32)
        said_TW = self._words.of_texts(query, texts, prefix=prefix, kept=wordings.kept)
        for other in wordings.others:
            of_other = self._words.of_texts(other.text, texts, prefix=False, kept=wordings.kept)
            np.maximum(said_TW, of_other, out=said_TW)
        value_TF[:, : len(WORD_FEATURES)] = said_TW
        return value_TF

    def _with_shown(self, found: Candidates, shown: Shown) -> Candidates:
        """The same with the feature of what was shown. Items that no source lists have their popularity beside it."""
        item_C = np.union1d(found.item_C, shown.item_S)
        value_CF = np.zeros((len(item_C), len(FEATURES)), np.float32)
        value_CF[:, COLUMN["popularity"]] = self.live.popularity(item_C)
        value_CF[np.searchsorted(item_C, found.item_C)] = found.value_CF
        value_CF[np.searchsorted(item_C, shown.item_S), COLUMN[SHOWN]] = shown.value_S
        return replace(found, item_C=item_C, value_CF=value_CF)

    def matching(self, query: str, *, prefix: bool = True, wordings: Wordings = NO_WORDINGS) -> NDArray[np.uint8]:
        """Of every item 2 where it has all words of a query in one of its wordings, 1 where it has some: uint8 [N].

        prefix, wordings: as in `candidates`.
        """
        matching_N = self._words.matching(query, prefix=prefix, kept=wordings.kept)
        for other in wordings.others:
            np.maximum(matching_N, self._words.matching(other.text, prefix=False, kept=wordings.kept), out=matching_N)
        return matching_N

    def matches(
        self, query: str, words: Sequence[Mapping[str, float]], records: Sequence[Mapping[str, Any]]
    ) -> list[list[Match]]:
        """Which words of a query each of some items has, and where; see `WordFeatures.matches`."""
        return self._words.matches(query, words, records)

    def likeness(self, item: int, other_K: NDArray[np.int64]) -> NDArray[np.float32]:
        """How like that of one item the texts of others are, from 0 to 1."""
        content = self._words.content(np.array([item]))
        value_KC = np.zeros((len(other_K), len(CONTENT_FEATURES)), np.float32)
        if content is not None:
            self._words.compare_content(content, other_K, value_KC)
        return value_KC[:, 0]

    def unknown_characters(self, records: Sequence[Mapping[str, Any]]) -> int:
        """How many characters of items `matches` has yet to look at; see `WordFeatures.unknown_characters`."""
        return self._words.unknown_characters(records)

    def with_items(self, item_K: NDArray[np.int64], items: Items, gone: Sequence[int] = ()) -> Priors:
        """After a change of the catalog, which this does not see. There is one change at a time.

        What events teach of an item stays; a new one has no neighbours yet.

        item_K: the numbers of items that are new or changed. A number is never given to another item.
        items: these items.
        gone: the numbers of items that are deleted.
        """
        changed = copy.copy(self)
        changed._words = self._words.with_items(item_K, items, gone, {"queries": self._queries_that_led_to(item_K)})
        changed._taste = self._taste.with_items(item_K, items)
        category_N, brand_N = changed._known_kinds()
        changed._intents = replace(self._intents, category_N=category_N)
        of_categories, of_brands = self._next
        changed._next = of_categories.with_kinds(category_N), of_brands.with_kinds(brand_N)
        self.live.make_room(len(changed._taste.category_N))
        return changed

    def _queries_that_led_to(self, item_K: NDArray[np.int64]) -> list[str]:
        """All queries that led to each of some items, in one text."""
        known = item_K < self._count_NT.shape[0]
        texts = np.full(len(item_K), "", object)
        texts[known] = queries_of_items(self.learned.queries, sp.csr_matrix(self._count_NT[item_K[known]].T))
        return list(texts)

    def _known_kinds(self) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        """The category and the brand of every item, as they were known when events were counted."""
        category_N, brand_N = self._taste.category_N, self._taste.brand_N
        return known_kinds(category_N, self._categories), known_kinds(brand_N, self._brands)

    def _neighbours(self, history_H: NDArray[np.int64]) -> dict[str, Sparse]:
        return dict(zip(NEIGHBOUR_FEATURES, self.live.neighbours(history_H), strict=True))

    def _taken_after(self, query: str) -> dict[str, Sparse]:
        taken = self.live.taken_after(query, self._ways, MAX_ALIKE)
        return dict(zip(("same_clicks", "alike_clicks"), taken, strict=True))


def _merged(own: Candidates, others: Sequence[tuple[Candidates, Mapping[str, str]]]) -> Candidates:
    """What is said of all wordings of one question. others: with what their words stand for."""
    every = [own, *(other for other, _ in others)]
    item_C = np.unique(np.concatenate([one.item_C for one in every]))
    value_CF = np.full((len(item_C), len(FEATURES)), -np.inf, np.float32)
    for one in every:
        rows = np.searchsorted(item_C, one.item_C)
        value_CF[rows] = np.maximum(value_CF[rows], one.value_CF)
    words = [*(own.words or ()), *(_standing(of, names) for one, names in others for of in one.words or ())]
    seconds = {part: sum(one.seconds.get(part, 0.0) for one in every) for part in own.seconds}
    return Candidates(item_C, value_CF, words, seconds)


def _standing(readings: Mapping[str, float], stands_for: Mapping[str, str]) -> Mapping[str, float]:
    """Readings of a word, as those of the word that was typed where it stands for one: nearly as sure as that."""
    first = next(iter(readings), "")
    if (typed := stands_for.get(first)) is None:
        return readings
    return {typed: 1.0, **{reading: 0.99 * sure for reading, sure in readings.items() if reading != typed}}


def _words(settings: PriorSettings) -> Callable[[str], Sequence[str]]:
    return partial(words_of, analyzer(settings.words.language))
