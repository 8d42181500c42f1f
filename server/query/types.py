"""What the service is asked and what it returns, without HTTP and without the engine's leaves and tokens."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Literal

from catalog.data.events import EventType
from catalog.facets import Facet
from catalog.priors.priors import Fit
from catalog.priors.words import Match
from catalog.text.prompts import Task
from server.retrieval.price_reader import Understanding
from server.storage.protocol import TypedVisit, Visit

__all__ = [
    "NOT_AGAIN",
    "SEEN_TYPES",
    "CountedSet",
    "Counts",
    "Explanation",
    "Fallback",
    "Group",
    "Kind",
    "LevelProbability",
    "Pin",
    "Pinned",
    "Query",
    "QueryResult",
    "Reason",
    "ReasonCode",
    "ResultItem",
    "Shelf",
]

SEEN_TYPES: tuple[str, ...] = tuple(kind.value for kind in EventType if kind.is_interaction)
"""Of the events whose items a query may leave out. What a user dislikes is never recommended, whatever is asked."""
NOT_AGAIN = frozenset({EventType.CART.value, EventType.PURCHASE.value, EventType.RATING.value})
"""Those of which recommendations leave the items out unasked: what was only looked at may come again."""

Kind = Literal["search", "recommend", "similar", "browse", "rerank"]
Shelf = Literal["popular", "trending", "latest", "bought_together"]
Fallback = Literal["popular"]
CountedSet = Literal["allowed", "matching", "answer"]
ReasonCode = Literal["query", "history", "query_and_history", "similar", "general"]


@dataclass(frozen=True, slots=True)
class Pin:
    """An item's id, and the place where it shall stand, from 1 over all pages.

    override: the id of the one that says so; None for the query itself.
    """

    item_id: str
    position: int
    override: str | None = None


@dataclass(frozen=True, slots=True)
class Pinned:
    """A pin in the terms of one state of the catalog."""

    leaf: int
    position: int
    override: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """One search, recommendation, wish for similar items, look at all that there is on a shelf (`browse`), or list of
    documents to be put in order (`rerank`).

    These fields say which items are wanted, and a cursor holds only for a query that has them all as they were:
        text: what was typed, None where nothing was.
        user, session: whose stored histories to read.
        history: takes the place of a stored one. For `similar` it is the one item that others should be like.
        exclude_seen: the types of events, of the history, whose items are left out.
        filter: an expression over item columns (`catalog/filters`).
        candidates: the only items wanted, None for all.
        min_score: items of a lower score are left out.
        correct: the model reads the text with its misspellings corrected.
        understand: prices in the text are a filter, and the model reads the rest; synonyms count.
        prefix: the last word may be the beginning of one, where no item has it as it is.
        within: as a filter, but the caller's own: the only items that they may see; the service knows it.
        shelf: of a look at all that there is, what comes in front (`server/query/listing/shelves.py`).
        items: those that the shelf is about: of "bought_together", what was taken with them.
        sort_by: columns to sort by (`catalog/facets/order.py`); None for the order of relevance.
        group_by, group_limit: a column, of each value of which no more items than so many come over all pages.
        max_per: further columns with such numbers, `brand:3`.
        diversity: how much the items of a page shall differ, from 0 to 1; 0 for the best ones.
        pins: items that stand at places of their own; no item and no place twice.
        hidden: items that are left out, pinned or not.
        overrides: those of the shop that meet the query apply (`server/query/listing/overrides.py`).
        override_tags: of which the rules of overrides may name one.
        guidance: the search is guided by what the catalog knows without the model, where the bundle has priors; None
            leaves it to the service.

    These say how to answer:
        k: items at most.
        cursor: `next_cursor` of the page before, None for the first page.
        max_cursor: characters that the next cursor may have, None for any number.
        fields: columns that are wanted, None for all.
        explain: add an explanation to every item.
        timeout_ms: a limit below the service's own, or None.
        facets: columns whose values are counted, `*` for all; None for none.
        max_facet_values: values of each that are told.
        disjunctive_facets: a column is counted as if the filter's conditions on it alone were not there.
        total: whether items are counted where no facets are wanted.
    """

    request_id: str
    kind: Kind
    text: str | None = None
    user: str | None = None
    session: str | None = None
    history: tuple[Visit | TypedVisit, ...] | None = None
    exclude_seen: frozenset[str] = frozenset(SEEN_TYPES)
    filter: str | None = None
    candidates: Sequence[str] | None = None
    min_score: float | None = None
    correct: bool = False
    understand: bool = False
    prefix: bool = True
    shelf: Shelf = "popular"
    items: tuple[str, ...] = ()
    sort_by: str | None = None
    group_by: str | None = None
    group_limit: int = 1
    max_per: str | None = None
    diversity: float = 0.0
    pins: tuple[Pin, ...] = ()
    hidden: tuple[str, ...] = ()
    overrides: bool = True
    override_tags: tuple[str, ...] = ()
    guidance: bool | None = None
    within: str | None = None

    k: int = 10
    cursor: str | None = None
    max_cursor: int | None = None
    fields: Sequence[str] | None = None
    explain: bool = False
    timeout_ms: int | None = None
    facets: Sequence[str] | None = None
    max_facet_values: int = 10
    disjunctive_facets: bool = False
    total: bool = False

    @property
    def counts(self) -> bool:
        """Whether something is counted."""
        return self.total or bool(self.facets) or self.sort_by is not None or self.kind == "browse"

    @property
    def task(self) -> Task:
        return "search" if self.kind in ("search", "rerank") else "recommendation"

    @property
    def identity(self) -> tuple[object, ...]:
        """Equal for two queries iff a cursor of one is good for the other. It is of what was asked, before overrides
        apply, so that cursors outlive changes of these."""
        return (
            self.kind,
            self.text,
            self.user,
            self.session,
            self.history,
            _identity_of(self.exclude_seen),
            self.filter,
            None if self.candidates is None else sorted(set(self.candidates)),
            self.min_score,
            self.correct,
            self.understand,
            self.prefix,
            self.shelf,
            self.items,
            self.sort_by,
            None if self.group_by is None else [self.group_by, self.group_limit],
            self.max_per,
            self.diversity,
            sorted((pin.position, pin.item_id) for pin in self.pins),
            sorted(set(self.hidden)),
            self.overrides,
            sorted(set(self.override_tags)),
            self.guidance,
            self.within,
        )


@dataclass(frozen=True, slots=True)
class Reason:
    """Why an item was found.

    code: what the question gave to go by.
    item: of the user's history, the item that led to it, or else the one that is most like it.
    text: one sentence, of what did most.
    source: what did most, the model or a source of the prior (`catalog.priors.weights.SOURCES`).
    """

    code: ReasonCode
    item: str | None
    text: str
    source: str = "model"


@dataclass(frozen=True, slots=True)
class LevelProbability:
    """The probability that the model gave to one code of an identifier, after the codes before it."""

    code: str
    probability: float


@dataclass(frozen=True, slots=True)
class Explanation:
    """How a score came about.

    history_effect: the score less the score without any history; None where there was no history.
    shares: what the model and each source add to it; together they are the score.
    pinned: the place for which it is pinned; None where its score put it there.
    override: the id of the one that pinned it; None where the query itself did, and where nothing did.
    """

    levels: tuple[LevelProbability, ...]
    history_effect: float | None
    shares: Mapping[str, float]
    pinned: int | None = None
    override: str | None = None


@dataclass(frozen=True, slots=True)
class ResultItem:
    """One item of a result.

    record: its id and the wanted columns.
    score: the log-probability of its identifier, joined with the prior where the query is guided.
    relevance: how likely it is the one that is wanted, 0 to 1; None where the bundle has not learned it.
    matched: of a search, which words of the query the item has; None where nobody knows without guidance.
    explanation: None where none was asked for.
    """

    record: dict[str, Any]
    score: float
    relevance: float | None
    reason: Reason
    matched: Sequence[Match] | None
    explanation: Explanation | None

    @property
    def item_id(self) -> str:
        return str(self.record["item_id"])


@dataclass(frozen=True, slots=True)
class Counts:
    """How many items there are, and what their columns hold.

    of: what is counted: all that the query allows, what of that has the words of the query, or the answer's items.
    facets: by the name under which the column was asked for.
    """

    total: int
    of: CountedSet
    facets: Mapping[str, Facet]


@dataclass(frozen=True, slots=True)
class Group:
    """The items of an answer that have one value of the column by which it is grouped, or one item without a value.

    size: how many such items the query allows, shown or not.
    """

    value: str | float | bool | datetime | date | None
    size: int
    item_ids: Sequence[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class QueryResult:
    """The items found, the best first.

    next_cursor: for the items behind these, None where there are none.
    corrected_query: the text that the model read, where misspellings were corrected.
    understood: what of the text became a filter or is also read as other words; None where nothing is.
    fit: how well the catalog fits the text; None where there is none, or nobody knows without guidance.
    counts: None where nothing was to be counted.
    fallback: what is shown in the place of what was asked for; None where that is shown.
    groups: in the order of the first item of each; None where nothing was to be grouped.
    pinned: ids of the items that stand where they do as they are pinned; None where the query has no pins.
    pins_missing: ids of items that the query itself pins and that are not in the catalog.
    overrides: ids of the overrides that applied, in their order; None where none did.
    replaced_query: the text that they put in the place of what was typed, empty for all items; None for none.
    model: version of the bundle that answered.
    degraded: whether something is missing that it should build on: the user's history, which could not be read, the
        prior, which took too long or failed, or the events of the log, which the priors lack.
    """

    items: list[ResultItem]
    next_cursor: str | None
    corrected_query: str | None = None
    understood: Understanding | None = None
    fit: Fit | None = None
    counts: Counts | None = None
    fallback: Fallback | None = None
    groups: Sequence[Group] | None = None
    pinned: Sequence[str] | None = None
    pins_missing: Sequence[str] = ()
    overrides: Sequence[str] | None = None
    replaced_query: str | None = None
    model: str
    catalog_version: int
    degraded: bool


def _identity_of(seen: frozenset[str]) -> bool | list[str]:
    """As a cursor knows it: true for all types, false for none, as it always was."""
    return len(seen) == len(SEEN_TYPES) if len(seen) in (0, len(SEEN_TYPES)) else sorted(seen)
