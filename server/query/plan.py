"""A question in the terms of one state of one catalog: leaves and tokens to the engine, leaves and scores back."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches
from typing import Any

import pyarrow as pa

from catalog.data.items import Items
from server.core import errors
from server.core.errors import Problem
from server.engine.protocol import Ranking, RankRequest
from server.query.explain import explanations_of, reasons_of
from server.query.types import Explanation, Question, Reason
from server.retrieval.live_catalog import Searcher
from server.storage.protocol import History, interactions_of

__all__ = ["QueryPlan"]

ALWAYS_SHOWN = {"id", "score", "reason"}


class QueryPlan:
    """past: all that is known of the history, oldest first; seen: what of it the model reads."""

    def __init__(
        self, question: Question, query: str | None, history: History, shown: Sequence[str], view: Searcher
    ) -> None:
        """query: as the model shall read it. shown: ids on the pages before.

        Raises Problem for columns that no item has, and where the item that others should be like is none.
        """
        self._question = question
        self._query = query
        self._view = view
        self._shown = shown
        self._columns = _columns(question.fields, view.items)
        self._history = history
        self.past = interactions_of(history, view.items)
        if question.kind == "similar":
            self._check_item(history)
        self._first = history.first(self.past)
        self.seen = view.prompts.window(self.past, first=self._first)

    def request(self, leaf_set: int | None, beam_width: int, widest: int) -> RankRequest:
        """To the engine. beam_width: where the question needs no wider one; widest: that the engine takes."""
        question, leaves_of = self._question, self._view.selection.leaves_of
        included = None if question.candidates is None else leaves_of(question.candidates)
        seen = {interaction.leaf for interaction in self.past} if question.exclude_seen else set()
        return RankRequest(
            prompt=self._view.prompts.render(self.past, self._query, first=self._first),
            k=question.k,
            # wide enough for all candidates, where there is room: then every one of them is ranked by its own score
            width=max(question.k, beam_width, min(len(included or ()), widest)),
            request_id=question.request_id,
            excluded=sorted(seen.union(leaves_of(self._shown))),
            included=included,
            leaf_set=leaf_set,
            snapshot=self._view.installed,
            by_level=question.explain,
        )

    def request_without_history(self, leaves: Sequence[int]) -> RankRequest:
        """To score these leaves, all of them, as for somebody without a past."""
        return RankRequest(
            prompt=self._view.prompts.render([], self._query),
            k=len(leaves),
            width=len(leaves),
            request_id=f"{self._question.request_id}-without-history",
            included=sorted(leaves),
            snapshot=self._view.installed,
        )

    def records(self, ranking: Ranking) -> list[dict[str, Any]]:
        """What the engine found: its ids and the wanted columns."""
        records: list[dict[str, Any]] = self._columns.take(pa.array(ranking.leaves, pa.int64())).to_pylist()
        return records

    def reasons(self, ranking: Ranking) -> list[Reason]:
        return reasons_of(self._question, self._view, ranking.leaves, self.seen, self._history)

    def explanations(self, ranking: Ranking, without_history: Ranking | None) -> list[Explanation]:
        """without_history: the answer to `request_without_history`."""
        return explanations_of(self._view, ranking, without_history)

    def _check_item(self, history: History) -> None:
        ((item_id, _),) = history.visits
        if not self.past or not self._view.snapshot.present_N[self.past[0].leaf]:
            raise Problem(errors.ITEM_NOT_FOUND, f"no item is named {item_id[:256]!r}: ids are case-sensitive")


def _columns(fields: Sequence[str] | None, items: Items) -> pa.Table:
    """The items with the wanted columns and their ids."""
    if fields is None:
        return items.table
    names = [name for name in items.table.column_names if name != "item_id"]
    for name in fields:
        if name not in names and name not in ALWAYS_SHOWN:
            near = get_close_matches(name, names, 1)
            hint = f"did you mean {near[0]!r}?" if near else f"items have {', '.join(names)}"
            fault = {
                "field": "fields",
                "code": "unknown_column",
                "message": f"no column is named {name[:100]!r}: {hint}",
            }
            raise Problem(errors.INVALID_REQUEST, errors.in_words([fault]), errors=[fault])
    return items.table.select(["item_id", *(name for name in names if name in fields)])
