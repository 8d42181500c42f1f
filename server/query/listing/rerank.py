"""Reranking: documents of the caller's in the order in which they fit a query, each scored by itself.

A document that names an item, by its id or its exact title, has the score that the item has in a search for it alone.
Any other text is scored as an item would be that has these words, that nobody took, and of which the model knows
nothing: it is one of N items that are equally likely, so its log-probability is -log N. Both scores become relevances
by one calibration, so items and texts stand in one order.

Shapes: N items of a snapshot, T texts.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Mapping, Sequence, Set
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from catalog.priors.priors import Fit
from catalog.search.calibration import Calibration, TaskCalibration, relevances
from server.core.tasks import together
from server.engine.protocol import Ranking, RankRequest
from server.query.plan import QueryPlan
from server.query.reading import Reading
from server.query.types import Query, QueryResult, Reason, ResultItem
from server.retrieval.live_catalog import Searcher
from server.retrieval.priors.guided_by import GuidedBy

__all__ = ["Document", "RerankResult", "Reranked", "Reranking", "Scored"]

ASKED = Reason("query", None, "")

UNCALIBRATED = Calibration(score=1.0, rivals=-1.0, offset=0.0, usual=1.0)
"""Where the bundle has learned none: it keeps the order of scores, within 0 and 1."""


@dataclass(frozen=True, slots=True)
class Document:
    """item_id: of the item that it says it is. text: what is read where it is none. It has at least one of them."""

    text: str | None = None
    item_id: str | None = None


@dataclass(frozen=True, slots=True)
class Reranked:
    """A document in its place.

    index: its place among the documents as they came, from 0.
    relevance: from 0 to 1.
    item_id, title: of the item that it names; None for a text. An item without a title has its id for one.
    """

    index: int
    relevance: float
    item_id: str | None = None
    title: str | None = None


@dataclass(frozen=True, slots=True)
class Scored:
    """All documents, the most relevant first; of two that are equally relevant the one of the higher score, and of
    equal scores the one that came first.

    unknown: places of the documents that name an item which is not there, and have no text: their relevance is 0.
    prompt_tokens: that the engine read.
    calibrated: whether relevances are probabilities that the bundle has learned.
    """

    documents: Sequence[Reranked]
    unknown: Sequence[int]
    prompt_tokens: int
    calibrated: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class RerankResult:
    """corrected_query, fit, model, catalog_version, degraded: as of `QueryResult`."""

    scored: Scored
    corrected_query: str | None
    fit: Fit | None
    model: str
    catalog_version: int
    degraded: bool

    def of_items(self) -> QueryResult:
        """The items alone, as analytics keep answers."""
        items = [
            ResultItem({"item_id": one.item_id}, one.relevance, one.relevance, ASKED, None, None)
            for one in self.scored.documents
            if one.item_id is not None
        ]
        return QueryResult(
            items=items,
            next_cursor=None,
            fit=self.fit,
            model=self.model,
            catalog_version=self.catalog_version,
            degraded=self.degraded,
        )


class Reranking:
    """The documents of one query.

    max_width: the most items of one request of the engine's, which scores every one of them.
    """

    def __init__(
        self, query: Query, reading: Reading, documents: Sequence[Document], searcher: Searcher, max_width: int
    ) -> None:
        self._query = query
        self._reading = reading
        self._documents = documents
        self._searcher = searcher
        self._max_width = max_width

    async def ranked(
        self,
        plan: QueryPlan,
        rank: Callable[[RankRequest], Awaitable[Ranking]],
        guided_by: GuidedBy | None,
        calibration: TaskCalibration,
    ) -> Scored:
        """rank: asks the engine. guided_by: None for the model alone. Raises EngineError."""
        leaf_of = await asyncio.to_thread(self._leaves)
        requests = self._requests(plan, sorted(set(leaf_of.values())), guided_by)
        score_of_leaf: dict[int, float] = {}
        for ranking in await together(map(rank, requests)):
            score_of_leaf |= dict(zip(ranking.leaves, ranking.scores, strict=True))
        score_of = {place: score_of_leaf[leaf] for place, leaf in leaf_of.items()}
        texts = {
            place: document.text
            for place, document in enumerate(self._documents)
            if place not in leaf_of and document.text is not None
        }
        scores, with_words = await asyncio.to_thread(self._scores_of_texts, list(texts.values()), guided_by)
        score_of |= dict(zip(texts, scores, strict=True))
        fitting = {place for place, has_words in zip(texts, with_words, strict=True) if has_words}
        own = calibration.model if guided_by is None else calibration.guided
        relevance_of = _relevances(score_of, own or UNCALIBRATED, guided_by, fitting)
        unknown = [place for place in range(len(self._documents)) if place not in score_of]
        best = sorted(score_of, key=lambda place: (-relevance_of[place], -score_of[place], place))
        documents = [self._reranked(place, relevance_of.get(place, 0.0), leaf_of) for place in [*best, *unknown]]
        return Scored(documents, unknown, sum(len(one.prompt) for one in requests), own is not None)

    def _leaves(self) -> dict[int, int]:
        """The leaves of the items that documents name, by the documents' places. For threads."""
        items, eligible = self._searcher.items, self._searcher.eligible
        there_N = np.zeros(len(items), np.bool_)
        there_N[eligible.rows(None)] = True
        leaf_of: dict[int, int] = {}
        text_of: dict[int, str] = {}
        for place, document in enumerate(self._documents):
            leaf = items.row_of(document.text or "" if document.item_id is None else document.item_id)
            if leaf is not None and there_N[leaf]:
                leaf_of[place] = leaf
            elif document.text:
                text_of[place] = document.text
        titled = _titled(items.table["title"], set(text_of.values()), there_N, eligible.shown_N)
        return leaf_of | {place: titled[text] for place, text in text_of.items() if text in titled}

    def _requests(self, plan: QueryPlan, leaves: Sequence[int], guided_by: GuidedBy | None) -> list[RankRequest]:
        """What has the engine score some items, available or not, whatever people have seen of them."""
        prior = None if guided_by is None else guided_by.prior
        whole = replace(plan.request(None, 1, self._max_width), deny=(), prior=prior)
        parts = [leaves[begin : begin + self._max_width] for begin in range(0, len(leaves), self._max_width)]
        return [
            replace(whole, allow=part, k=len(part), width=len(part), request_id=f"{whole.request_id}-{number}")
            for number, part in enumerate(parts)
        ]

    def _scores_of_texts(
        self, texts: Sequence[str], guided_by: GuidedBy | None
    ) -> tuple[Sequence[float], Sequence[bool]]:
        """The scores of texts that are no items, and whether each has any word of the query. For threads."""
        unknown = -math.log(max(self._searcher.eligible.present, 1))
        text = self._reading.text
        if guided_by is None or text is None or not texts:
            return [unknown] * len(texts), [False] * len(texts)
        prefix, wordings = self._query.prefix, self._reading.wordings
        value_T, has_words_T = guided_by.of_texts(text, texts, prefix=prefix, wordings=wordings)
        return (guided_by.weights.model * unknown + value_T).tolist(), has_words_T.tolist()

    def _reranked(self, place: int, relevance: float, leaf_of: Mapping[int, int]) -> Reranked:
        leaf, items = leaf_of.get(place), self._searcher.items
        if leaf is None:
            return Reranked(place, relevance)
        return Reranked(place, relevance, items.ids[leaf], items.title(leaf))


def _titled(
    title_N: pa.ChunkedArray, texts: Set[str], there_N: NDArray[np.bool_], shown_N: NDArray[np.bool_]
) -> dict[str, int]:
    """The leaf of the item that has each text for its title: of several the first that is available, else the first.

    there_N: which items there are for the caller. shown_N: which of them are available.
    """
    wanted = list(texts)
    if not wanted:
        return {}
    found_N = pc.index_in(title_N, value_set=pa.array(wanted, title_N.type))
    text_N = pc.fill_null(found_N, -1).to_numpy()
    leaf_K = np.flatnonzero((text_N >= 0) & there_N)
    leaf_K = leaf_K[np.argsort(~shown_N[leaf_K], kind="stable")]
    text_U, first_U = np.unique(text_N[leaf_K], return_index=True)
    return {wanted[text]: leaf for text, leaf in zip(text_U.tolist(), leaf_K[first_U].tolist(), strict=True)}


def _relevances(
    score_of: Mapping[int, float], calibration: Calibration, guided_by: GuidedBy | None, fitting: Set[int]
) -> dict[int, float]:
    """The relevances of documents by their places. fitting: texts that have words of the query, which the catalog need
    not have."""
    scores, rivals = list(score_of.values()), 0.0 if guided_by is None else guided_by.rivals
    relevance_of = dict(zip(score_of, relevances(scores, rivals, calibration), strict=True))
    if guided_by is None or guided_by.fit != "none":
        return relevance_of
    return {
        place: relevance if place in fitting else min(relevance, calibration.usual)
        for place, relevance in relevance_of.items()
    }
