"""Why an item is in an answer, in words: by the source that did most for it.

In a search that is the source with the greatest share of the score, above what an item has of which the source knows
nothing: 0, and for the model the probability of an item drawn by chance. By that measure the model would do most for
every item of a recommendation: what it finds likely is far from chance for all of them. So there it is the source
without which the item would fall furthest, among the items that sources list and that could have been in the answer.
What the model says of those that the answer does not have is not known. It is taken for what it says of an item drawn
by chance, or for less where the item would otherwise be in the answer.

Shapes: N items of a snapshot, K items of an answer, R listed items that are not among them, F features, S sources.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from catalog.priors.live.shown import SHOWN
from catalog.priors.priors import FEATURES
from catalog.priors.weights import SOURCES, shares_by_source
from catalog.priors.words import CONTENT_FEATURES, CONTENT_ITEMS
from catalog.text.prompts import Interaction
from server.query.explain import deed, likeness_of, shortened
from server.query.types import Query, Reason, ReasonCode
from server.retrieval.live_catalog import Searcher
from server.retrieval.priors.guided_by import GuidedBy
from server.storage.protocol import History

__all__ = ["reasons_of"]

COLUMN = {name: place for place, name in enumerate(FEATURES)}
HISTORY_CODES: dict[str, ReasonCode] = {
    "search": "query_and_history",
    "recommend": "history",
    "similar": "similar",
}
WORD_TEXTS = {
    "title_covered": "Title match for “{}”",
    "brand": "Brand match for “{}”",
    "category": "Category match for “{}”",
    "attributes": "Attribute match for “{}”",
    "covered": "Text match for “{}”",
}
"""By what an item has of a query; the first of those that it has as much of as of any."""
NEIGHBOUR_TEXTS = {
    "transitions": "People who took {} took this next",
    "ease": "People who took {} took this too",
    "item_knn": "People who took {} took this too",
}
TASTE_TEXTS = {
    "brand_taste": ("brand", "Of the same brand as {}"),
    "category_taste": ("categories", "Of the same kind as {}"),
}
CONTENT_TEXT = "Described like {}"
OTHER_TEXTS = {
    "same_clicks": "Often chosen after this search",
    "alike_clicks": "Often chosen after searches like this",
    "intent": "Of a kind often chosen after such words",
    "next_category": "Of a kind that people take next",
    "next_brand": "Of a brand that people take next",
    "price_taste": "At a price like that of what you looked at",
    "popularity": "Chosen by many",
}


@dataclass(frozen=True, slots=True)
class Past:
    """What a user did.

    interactions: oldest first.
    seen: as much of them as the model saw.
    history: all of it.
    left_out: the leaves that the answer could not have.
    """

    interactions: Sequence[Interaction]
    seen: Sequence[Interaction]
    history: History
    left_out: Collection[int] = ()


def reasons_of(
    query: Query,
    searcher: Searcher,
    leaves: Sequence[int],
    scores: Sequence[float],
    past: Past,
    guided_by: GuidedBy | None,
) -> list[Reason]:
    """One for each leaf of an answer. guided_by: what guided the ranking; None for the model alone."""
    alike = likeness_of(query, searcher, leaves, past.seen, past.history)
    if guided_by is None or not leaves:
        return alike
    strongest = _Strongest(guided_by, leaves, scores, _rivals(query, guided_by, leaves, past))
    origins = _Origins(searcher, past, guided_by, leaves)
    told = zip(alike, strongest.sources, strongest.features, strongest.value_KF, leaves, strict=True)
    return [_told(query, origins, *one) for one in told]


class _Strongest:
    """The source that did most for each item, and of its features the one with the greatest share, in a recommendation
    above that of an item that could have been there instead.

    sources, features: K names; the feature of the model is empty.
    value_KF: what the sources say, float64.
    """

    def __init__(
        self, guided_by: GuidedBy, leaves: Sequence[int], scores: Sequence[float], rivals_R: NDArray[np.bool_] | None
    ) -> None:
        """rivals_R: which of the listed items could have been in the answer and are not, bool; None in a search."""
        weights = guided_by.weights
        self.value_KF = guided_by.features(leaves)
        share_KF = self.value_KF * weights.feature_F
        chance = -weights.model * np.log(len(guided_by.serial_N))
        model_K = np.array(scores) - share_KF.sum(1) - chance
        if not any(map(str.isdigit, chain.from_iterable(chain.from_iterable(guided_by.words)))):
            share_KF[:, COLUMN["numbers"]] = 0.0  # every item has all numbers of a query that has none
        names = ["model", *SOURCES]
        share_SK = np.stack([model_K, *shares_by_source(share_KF).values()])
        most_SK = share_SK.copy()
        most_SK[0] = np.maximum(most_SK[0], 0.0)  # of several that did nothing, the model
        lowering = names.index(SHOWN)  # by which items rise too, but only as others fall: nothing is there for it
        usual_F = np.zeros(len(FEATURES))
        if rivals_R is not None:
            share_RF = guided_by.said.value_CF[rivals_R] * weights.feature_F
            fall_SK = _falls(share_SK, _shares_of_rivals(share_RF, min(scores) - chance))
            fall_SK[lowering] = fall_SK.min(0)
            most_SK = np.where(fall_SK == fall_SK.max(0), most_SK, -np.inf)  # of several as far, the greatest share
            unmoved_K = (fall_SK.max(0) <= 0) & (most_SK[1:].max(0) <= 0.0)
            most_SK[0, unmoved_K] = 0.0  # nothing holds the item up, so the model may hold it down and be named
            usual_F = share_RF.sum(0) / max(len(share_RF), 1)
        most_SK[lowering] = -np.inf
        self.sources = [names[place] for place in most_SK.argmax(0)]
        self.features = [
            max(SOURCES.get(source, ()), key=lambda name: over_F[COLUMN[name]], default="")
            for source, over_F in zip(self.sources, share_KF - usual_F, strict=True)
        ]


def _rivals(query: Query, guided_by: GuidedBy, leaves: Sequence[int], past: Past) -> NDArray[np.bool_] | None:
    """As `_Strongest` takes them. An answer to a query with candidates has all that there could be."""
    if query.text is not None:
        return None
    return ~np.isin(guided_by.said.item_C, [*leaves, *past.left_out]) & (query.candidates is None)


def _shares_of_rivals(share_RF: NDArray[np.float64], least: float) -> NDArray[np.float64]:
    """What the model and the sources add to each of them, float64 [S, R].

    share_RF: what every feature adds.
    least: the lowest score in the answer; the model's share is 0 for an item drawn by chance.
    """
    share_SR = np.stack([*shares_by_source(share_RF).values()])
    return np.concatenate([np.minimum(least - share_SR.sum(0), 0.0)[None], share_SR])


def _falls(share_SK: NDArray[np.float64], share_SR: NDArray[np.float64]) -> NDArray[np.int64]:
    """How many ranks each item of an answer would fall without each source, int64 [S, K].

    share_SK, share_SR: what the sources add to its items, and to others that could take their places.
    """
    share_SC = np.concatenate([share_SK, share_SR], axis=1)
    score_C = share_SC.sum(0)
    own = share_SK.shape[1]

    def ranks(score_C: NDArray[np.float64]) -> NDArray[np.int64]:
        return len(score_C) - np.searchsorted(np.sort(score_C), score_C[:own], "right")

    return np.stack([ranks(score_C - share_C) for share_C in share_SC]) - ranks(score_C)


class _Origins:
    """Finds the item of a history by which a source came to an item of an answer."""

    def __init__(self, searcher: Searcher, past: Past, guided_by: GuidedBy, leaves: Sequence[int]) -> None:
        self._items = searcher.items
        self._newest_first = past.interactions[::-1]
        self._history = past.history
        self._guided_by = guided_by
        self._leaves = leaves
        self._neighbours: dict[str, dict[int, int]] = {}

    def of_neighbour(self, feature: str, leaf: int) -> Interaction | None:
        """From which neighbours led to the item most."""
        guided_by = self._guided_by
        if feature not in self._neighbours:
            serials = guided_by.serial_N[list(self._leaves)].tolist()
            self._neighbours[feature] = guided_by.priors.live.origins(feature, guided_by.history_H, serials)
        serial = self._neighbours[feature].get(int(guided_by.serial_N[leaf]))
        return next((one for one in self._newest_first if guided_by.serial_N[one.leaf] == serial), None)

    def of_column(self, column: str, leaf: int) -> Interaction | None:
        """The latest with the same value in a column; of several, the last of them counts."""
        wanted = self._value(column, leaf)
        return next((one for one in self._newest_first if wanted and self._value(column, one.leaf) == wanted), None)

    def of_content(self, leaf: int) -> Interaction | None:
        """The one whose text is most like the item's; of several, the latest."""
        recent = self._newest_first[:CONTENT_ITEMS]
        alike_R = self._alike_RK[:, self._leaves.index(leaf)]
        return recent[int(alike_R.argmax())] if alike_R.max(initial=0.0) > 0 else None

    @cached_property
    def _alike_RK(self) -> NDArray[np.float32]:
        """How like the newest items of the history all items of the answer are."""
        serial_N, priors = self._guided_by.serial_N, self._guided_by.priors
        item_K, recent = serial_N[list(self._leaves)], self._newest_first[:CONTENT_ITEMS]
        return np.array([priors.likeness(int(serial_N[one.leaf]), item_K) for one in recent]).reshape(-1, len(item_K))

    def named(self, like: Interaction, text: str) -> tuple[str, str]:
        """The id of an item of the history, and the text with its title and with what was done with it last."""
        item_id: str = self._items.table["item_id"][like.leaf].as_py()
        title = self._items.title(like.leaf)
        return item_id, text.format(
            title if text in NEIGHBOUR_TEXTS.values() else f"{title}, {deed(like, item_id, self._history)}"
        )

    def _value(self, column: str, leaf: int) -> str | None:
        value: str | list[str] | None = self._items.table[column][leaf].as_py()
        names = value if isinstance(value, list) else [value]
        return names[-1] if names else None


def _told(
    query: Query, origins: _Origins, alike: Reason, source: str, feature: str, value_F: NDArray[np.float64], leaf: int
) -> Reason:
    """alike: the reason where the model did most."""
    if source == "words":
        return Reason(alike.code, alike.item, _words_text(query, value_F), source)
    if feature in OTHER_TEXTS:
        return Reason(alike.code, alike.item, OTHER_TEXTS[feature], source)
    if feature in NEIGHBOUR_TEXTS:
        like, text = origins.of_neighbour(feature, leaf), NEIGHBOUR_TEXTS[feature]
    elif feature in TASTE_TEXTS:
        column, text = TASTE_TEXTS[feature]
        like = origins.of_column(column, leaf)
    elif feature in CONTENT_FEATURES:
        like, text = origins.of_content(leaf), CONTENT_TEXT
    else:  # the model, or a source that has no words of its own
        like, text = None, ""
    if like is None:
        return Reason(alike.code, alike.item, alike.text, source)
    return Reason(HISTORY_CODES[query.kind], *origins.named(like, text), source)


def _words_text(query: Query, value_F: NDArray[np.float64]) -> str:
    named = shortened(query.text or "")
    if value_F[COLUMN["identifier"]]:
        return f"Its number is “{named}”"
    if value_F[COLUMN["exact_title"]]:
        return "Exact title match"
    if value_F[COLUMN["title_begun"]]:
        return f"Its title begins with “{named}”"
    best = max(WORD_TEXTS, key=lambda name: value_F[COLUMN[name]])
    return WORD_TEXTS[best].format(named)
