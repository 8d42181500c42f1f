"""Answers to questions: items, the best first, and why they are there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from gemserve_client.responses.body import Body

__all__ = [
    "Answer",
    "Explanation",
    "FacetStats",
    "Group",
    "Item",
    "Level",
    "Match",
    "PriceRange",
    "ReadAs",
    "Reason",
    "ScoredItem",
    "Understanding",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason(Body):
    """Why an item is there. `item`: of the user's history, the one that led to it or that is most like it, if any is;
    `source`: what did most, such as "words", "transitions" or "model"."""

    code: str
    item: str | None = None
    text: str
    source: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Level(Body):
    """One code of an item's identifier, and the probability that the model gave it."""

    code: str
    probability: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation(Body):
    """`history_effect`: how much the history raised the score (natural logarithm); None where none was used. `shares`:
    what the model and each source that guides the search add to the score, which is their sum. `pinned`: the place for
    which it is pinned."""

    levels: tuple[Level, ...]
    history_effect: float | None = None
    shares: Mapping[str, float] = field(default_factory=dict)
    pinned: int | None = None
    override: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """An item; `fields` has every column but id and title, such as price."""

    id: str
    title: str | None = None
    fields: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Match(Body):
    """A word of a query in a text of an item, from `start` up to `end`, which count Unicode code points.

    `field`: the column, or "id"; `index`: of several categories, which one.
    """

    word: str
    field: str
    start: int
    end: int
    index: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoredItem(Item):
    """`score` is the model's log-probability joined with what guides the search, and compares in one answer only.
    `relevance` is how likely the item is the one that is wanted, 0 to 1, None where the server's model has not learned
    it. `matched` of a guided search: where the item has words of the query."""

    score: float
    relevance: float | None = None
    reason: Reason | None = None
    matched: tuple[Match, ...] | None = None
    explanation: Explanation | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceRange(Body):
    """The lowest and the highest price, both included; None for any."""

    min: float | None = None
    max: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadAs(Body):
    """A word of a search that is also read as another; `id`: of the set of synonyms that says so."""

    id: str
    word: str
    read_as: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Understanding(Body):
    """What a search read as a filter, such as `price <= 100`, and in numbers, None where it names no price; `query` is
    the rest of it. `synonyms`: words of it that are also read as others."""

    filter: str | None = None
    price: PriceRange | None = None
    query: str
    synonyms: tuple[ReadAs, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class FacetStats(Body):
    """What the numbers or times of a column range over; times are text, and have no sum."""

    min: float | str
    max: float | str
    avg: float | str
    sum: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Group(Body):
    """The ids of an answer's items that have one value of `group_by`; `size`: how many such items are allowed."""

    value: str | float | bool | None = None
    size: int
    items: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer(Body):
    """Items, the best first. `next_cursor` asks for the next page; `degraded`: the history could not be read, or
    what guides the search took too long or lacks the newest events. `fit` of a guided search: "all", "some", or "none",
    where nothing fits what was typed and these are the nearest. `fallback`: "popular", where nothing trends and popular
    items are shown in its place.

    Where `facets` or `total` ask for it: `total` items are counted, as `total_is` says: those that are "allowed", those
    "matching" the words of a search, or those of the "answer". `facetDistribution`: of each column how many of them
    have each value; `facetStats`: of numbers and times; `facetValues`: how many values there are, told or not.
    `groups`: where `group_by` asks for them.

    Where the question has pins, `pinned` has the ids of those on this page, and `pins_missing` of those that are in no
    catalog. `overrides`: ids of the shop's overrides that applied, None where none did;
    `replaced_query`: what they put in the place of the words that were typed, empty for all items.
    """

    request_id: str
    items: tuple[ScoredItem, ...]
    next_cursor: str | None = None
    model: str
    catalog_version: int
    took_ms: float
    degraded: bool
    corrected_query: str | None = None
    understood: Understanding | None = None
    fit: str | None = None
    fallback: str | None = None
    total: int | None = None
    total_is: str | None = None
    facetDistribution: Mapping[str, Mapping[str, int]] | None = None
    facetStats: Mapping[str, FacetStats] | None = None
    facetValues: Mapping[str, int] | None = None
    groups: tuple[Group, ...] | None = None
    pinned: tuple[str, ...] | None = None
    pins_missing: tuple[str, ...] | None = None
    overrides: tuple[str, ...] | None = None
    replaced_query: str | None = None
