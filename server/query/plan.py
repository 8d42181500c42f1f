"""A query in the terms of one state of one catalog: leaves and tokens to the engine, leaves and scores back."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import pyarrow as pa

from catalog.data.items import Items
from catalog.nearest import nearest_name
from catalog.priors.words import TEXT_COLUMNS, Match
from catalog.search.calibration import TaskCalibration
from catalog.search.guidance import Prior
from server.core import errors
from server.core.errors import Problem
from server.engine.protocol import Ranking, RankRequest
from server.query.explain import explanations_of
from server.query.reasons import Past, reasons_of
from server.query.relevance import relevances_of
from server.query.types import Pinned, Query, Reason, ResultItem
from server.retrieval.live_catalog import Searcher
from server.retrieval.priors.guided_by import GuidedBy
from server.storage.protocol import History, interactions_of

__all__ = ["BEAM_WIDTH", "QueryPlan", "guided", "wanted_columns"]

BEAM_WIDTH = 50
"""Of a query that needs no wider one, where neither the settings nor the bundle say otherwise."""
MEASURED_K = 10
"""Items of the answers by which a bundle says how many beams are enough."""

MAX_TOLD_AT_ONCE = 20
"""Items of an answer up to which it takes no thread to tell why they are there."""
MAX_READ_AT_ONCE = 5_000
"""Characters of their texts, not looked at before, up to which it takes none."""
TEXTS = ["item_id", *TEXT_COLUMNS]

ALWAYS_SHOWN = {"id", "score", "relevance", "reason", "matched"}


class QueryPlan:
    """Writes a query's requests to the engine and reads the rankings that come back.

    about: leaves of the items that the query's shelf is about.
    """

    def __init__(
        self,
        query: Query,
        text: str | None,
        history: History,
        shown: Sequence[str],
        searcher: Searcher,
        *,
        model_text: str | None = None,
    ) -> None:
        """
        text: of the query, as it is searched.
        model_text: what the model shall read in its place.
        shown: ids on the pages before.

        Raises Problem for columns that no item has, and where an item that others should be like or go with is none.
        """
        self._query = query
        self._text = text
        self._model_text = model_text or text
        self._searcher = searcher
        self._shown = shown
        self._columns = wanted_columns(query.fields, searcher.items)
        self._history = history
        self._past = [one for one in interactions_of(history, searcher.items) if searcher.eligible.has(one.leaf)]
        self.about = [self._known(item) for item in query.items]
        if query.kind == "similar":
            for item, _ in history.visits:
                self._known(item)
        self._first = history.first(self._past)
        self._window = searcher.prompts.window(self._past, first=self._first)
        self.pins, self.pins_missing = _pins(query, searcher)

    @property
    def catalog_version(self) -> int:
        return self._searcher.snapshot.number

    @property
    def past(self) -> list[int]:
        """The leaves of the history, oldest first."""
        return [interaction.leaf for interaction in self._past]

    @property
    def impressions(self) -> list[tuple[int, int]]:
        """What was shown and left: the leaf, and when it was, Unix ms."""
        eligible = self._searcher.eligible
        known = ((self._searcher.items.row_of(item), at) for item, at in self._history.impressions)
        return [(leaf, at) for leaf, at in known if leaf is not None and eligible.has(leaf)]

    @property
    def allow(self) -> list[int] | None:
        """The leaves of the query's candidates; None for all."""
        candidates = self._query.candidates
        return None if candidates is None else self._searcher.eligible.leaves_of(candidates)

    @property
    def seen(self) -> set[int]:
        """The leaves of the history that must not come back, and of a recommendation those that the user dislikes."""
        ids = self._history.items_of(self._query.exclude_seen)
        if self._query.kind == "recommend":
            ids |= self._history.disliked
        return set(self._searcher.eligible.leaves_of(ids))

    @property
    def left_out(self) -> list[int]:
        """The leaves that must not come back, pinned or not: of hidden items, and of what was seen."""
        return sorted(self.seen.union(self._searcher.eligible.leaves_of(self._query.hidden)))

    @property
    def first(self) -> int:
        """The place of the page's first item, from 1."""
        return len(self._shown) + 1

    @property
    def unshown_pins(self) -> list[Pinned]:
        """The pins that no page before has shown, by their places."""
        shown = set(self.shown)
        return [pin for pin in self.pins if pin.leaf not in shown]

    def pinned_of(self, items: Sequence[ResultItem]) -> list[str] | None:
        """The ids of those items of the result that are pinned; None where the query has no pins."""
        pinned = {pin.item_id for pin in self._query.pins}
        return [item.item_id for item in items if item.item_id in pinned] if pinned else None

    @property
    def placed(self) -> set[int]:
        """The leaves whose places are not those of their scores: the pages before, and pins."""
        return {pin.leaf for pin in self.pins}.union(self.shown)

    @property
    def shown(self) -> list[int]:
        """The leaves of the items on the pages before."""
        return self._searcher.eligible.leaves_of(self._shown)

    def request(self, filter_id: int | None, beam_width: int, max_width: int) -> RankRequest:
        """The query itself. beam_width: where it needs no wider one; max_width: the widest that the engine takes."""
        query, allow = self._query, self.allow
        return RankRequest(
            prompt=self._searcher.prompts.render(self._past, self._model_text, first=self._first),
            k=query.k,
            # wide enough for all candidates, where there is room: then every one of them is ranked by its own score
            width=max(query.k, beam_width, min(len(allow or ()), max_width)),
            request_id=query.request_id,
            deny=sorted(self.placed.union(self.left_out)),
            allow=allow,
            filter_id=filter_id,
            index_id=self._searcher.installed,
            by_level=query.explain,
        )

    def request_without_history(self, ranking: Ranking) -> RankRequest | None:
        """To score the items of the result as for somebody without a history; None where that changes nothing."""
        leaves = ranking.leaves
        if not self._window or not leaves:
            return None
        return RankRequest(
            prompt=self._searcher.prompts.render([], self._model_text),
            k=len(leaves),
            width=len(leaves),
            request_id=f"{self._query.request_id}-without-history",
            allow=sorted(leaves),
            index_id=self._searcher.installed,
        )

    async def items(
        self,
        ranking: Ranking,
        boosted_K: Sequence[float],
        without_history: Ranking | None,
        guided_by: GuidedBy | None,
        calibration: TaskCalibration,
    ) -> list[ResultItem]:
        """The items of the result.

        boosted_K: what boosts add to each score.
        without_history: the ranking of `request_without_history`, if there was one.
        guided_by: what guided the ranking; None for the model alone.
        calibration: how its scores become probabilities.
        """
        bare = ranking.less(boosted_K)
        relevances = relevances_of(ranking.scores, calibration, guided_by)
        records = self._columns.take(pa.array(ranking.leaves, pa.int64())).to_pylist()
        explanations = (
            explanations_of(self._searcher, bare, boosted_K, without_history, guided_by, self.pins)
            if self._query.explain
            else [None] * len(ranking.leaves)
        )
        texts = [] if guided_by is None or self._text is None else self._with_texts(records, ranking.leaves)
        tell = partial(self._told, bare, guided_by, texts)
        at_once = guided_by is None or _is_quick(guided_by, texts, len(records))
        reasons, matched = tell() if at_once else await asyncio.to_thread(tell)
        parts = zip(records, ranking.scores, relevances, reasons, matched, explanations, strict=True)
        return [ResultItem(*part) for part in parts]

    def unranked_items(
        self, leaves: Sequence[int], scores: Sequence[float], reasons: Sequence[Reason]
    ) -> list[ResultItem]:
        """The items of a result that no engine has ranked, with the score of each and why it is there."""
        records = self._columns.take(pa.array(leaves, pa.int64())).to_pylist()
        parts = zip(records, scores, reasons, strict=True)
        return [ResultItem(record, score, None, reason, None, None) for record, score, reason in parts]

    def above_min_score(self, ranking: Ranking) -> Ranking:
        """Without what scores less than the query wants, in the same order."""
        least = self._query.min_score
        if least is None:
            return ranking
        return ranking.at([place for place, score in enumerate(ranking.scores) if score >= least])

    def _with_texts(self, records: Sequence[Mapping[str, Any]], leaves: Sequence[int]) -> Sequence[Mapping[str, Any]]:
        """The items of an answer with the texts that may have words of the query. records: with the wanted columns."""
        table = self._searcher.items.table
        if self._columns is table:
            return records
        texts: list[dict[str, Any]] = table.select(TEXTS).take(pa.array(leaves, pa.int64())).to_pylist()
        return texts

    def _told(
        self, ranking: Ranking, guided_by: GuidedBy | None, texts: Sequence[Mapping[str, Any]]
    ) -> tuple[Sequence[Reason], Sequence[list[Match] | None]]:
        """Why each item is there, and which words of the query it has; None where nobody knows."""
        leaves = ranking.leaves
        past = Past(self._past, self._window, self._history, self.seen)
        reasons = reasons_of(self._query, self._searcher, leaves, ranking.scores, past, guided_by)
        if guided_by is None or self._text is None:
            return reasons, [None] * len(leaves)
        return reasons, guided_by.priors.matches(self._text, guided_by.words, texts)

    def _known(self, item_id: str) -> int:
        """The leaf of an item that is there; one outside of the part that may be seen is none. Raises Problem."""
        leaf = self._searcher.items.row_of(item_id)
        if leaf is None or not self._searcher.snapshot.present_N[leaf] or not self._searcher.eligible.has(leaf):
            raise Problem(errors.ITEM_NOT_FOUND, f"no item is named {item_id[:256]!r}: ids are case-sensitive")
        return leaf


def _pins(query: Query, searcher: Searcher) -> tuple[list[Pinned], list[str]]:
    """The pins by their places, and the ids of items that the query itself pins and that are none, as those outside of
    the part that may be seen."""
    pins: list[Pinned] = []
    missing: list[str] = []
    for pin in sorted(query.pins, key=lambda pin: pin.position):
        leaf = searcher.items.row_of(pin.item_id)
        if leaf is None or not searcher.snapshot.present_N[leaf] or not searcher.eligible.has(leaf):
            missing += [pin.item_id] if pin.override is None else []
        else:
            pins.append(Pinned(leaf, pin.position, pin.override))
    return pins, missing


def _is_quick(guided_by: GuidedBy, texts: Sequence[Mapping[str, Any]], items: int) -> bool:
    """Whether it takes a few milliseconds at most to tell why items are in an answer: less than a thread would cost,
    as a rule."""
    return items <= MAX_TOLD_AT_ONCE and guided_by.priors.unknown_characters(texts) <= MAX_READ_AT_ONCE


def guided(request: RankRequest, prior: Prior, enough: int | None, before: int) -> RankRequest:
    """The request with what guides it, in as few beams as that needs.

    enough: how many beams find ten items as a very wide search does; None keeps the width. More items need more.
    before: items on the pages before. What few beams overlook among the best of what is left adds up over pages, so
        these are counted too.
    """
    width = request.width
    if enough is not None and request.allow is None:  # with a list of candidates, every one of them is ranked
        width = min(width, max(request.k, enough, -(-enough * (before + request.k) // MEASURED_K)))
    return replace(request, prior=prior, width=width)


def wanted_columns(fields: Sequence[str] | None, items: Items) -> pa.Table:
    """The items with the wanted columns and their ids."""
    if fields is None:
        return items.table
    names = [name for name in items.table.column_names if name != "item_id"]
    for name in fields:
        if name not in names and name not in ALWAYS_SHOWN:
            near = nearest_name(name, names)
            hint = f"did you mean {near!r}?" if near is not None else f"items have {', '.join(names)}"
            message = f"no column is named {name[:100]!r}: {hint}"
            raise errors.invalid_parameter("fields", "unknown_column", message)
    return items.table.select(["item_id", *(name for name in names if name in fields)])
