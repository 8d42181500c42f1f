"""What searches and recommendations answer."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from catalog.priors.priors import Fit
from server.api.schemas.items import shown
from server.query.types import CountedSet, Counts, Fallback, Query, QueryResult, ReasonCode, ResultItem

__all__ = ["AnswerBody", "ShownItemBody", "answer_body"]


class ReasonBody(BaseModel):
    code: ReasonCode = Field(
        description="what brought the item: the query, the history, both, likeness, or nothing but the model"
    )
    item: str | None = Field(
        description="of the history, the item that led to this one, or else the one whose identifier begins like this"
        " one's the longest"
    )
    text: str = Field(description="what did most, for people")
    source: str = Field(
        description="what did most: `model`, or what guides the search: `words`, `clicks`, `neighbours`, `transitions`,"
        " `taste` or `popularity`"
    )


class LevelBody(BaseModel):
    code: str
    probability: float = Field(
        description="of this code after those before it; their product is exp(score) where there is no guidance"
    )


class ExplanationBody(BaseModel):
    levels: list[LevelBody]
    history_effect: float | None = Field(description="score less the score without any history")
    shares: dict[str, float] = Field(
        description="what the model and every source that guides the search add to the score, by name as in `source` of"
        " a reason, and `boost` of overrides; their sum is the score"
    )
    pinned: int | None = Field(None, description="the place for which it is pinned; null where its score put it there")
    override: str | None = Field(None, description="the id of the override that pinned it; null elsewhere")


class MatchBody(BaseModel):
    word: str = Field(description="of the query; all of it where it is the item's id")
    field: Literal["id", "title", "brand", "categories", "description"]
    start: int = Field(description="where the word stands in that text, in Unicode code points from 0")
    end: int = Field(description="behind it")
    index: int | None = Field(description="of `categories`, which one; null elsewhere")


class ShownItemBody(BaseModel):
    """An item with every further column of the catalog, but for those that `fields` leaves out."""

    model_config = ConfigDict(extra="allow")

    id: str
    title: str | None = None
    description: str | None = None
    brand: str | None = None
    categories: list[str] | None = None
    price: float | None = None
    available: bool | None = None
    score: float = Field(
        description="the weighted sum of the model's log-probability and of what guides the search, or without guidance"
        " the log-probability; comparable within one answer only"
    )
    relevance: float | None = Field(
        ge=0,
        le=1,
        description="how likely this is the item that the question wants, as people chose in the bundle's validation"
        " questions. Never lower where the score is higher, the same on every page and with every filter, and"
        " comparable between questions of one kind. Null where the bundle has not learned it",
    )
    reason: ReasonBody
    matched: list[MatchBody] | None = Field(
        None,
        description="of a search: where the item has words of the query as they were read: corrected, stemmed,"
        " and the last one as a beginning too. Null without guidance",
    )
    explanation: ExplanationBody | None = Field(None, description="where `explain` asks for it")


class PriceRangeBody(BaseModel):
    min: float | None = Field(description="the lowest price, null for any")
    max: float | None = Field(description="the highest price, null for any")


class ReadAsBody(BaseModel):
    id: str = Field(description="of the set of synonyms that says so")
    word: str = Field(description="a word or phrase of the query, as it was read after corrections")
    read_as: str = Field(description="what it is read as too")


class UnderstandingBody(BaseModel):
    filter: str | None = Field(
        description="what the query asks of the items, as an expression; null where it names no price."
        " `understand=false` undoes all of this"
    )
    price: PriceRangeBody | None = Field(description="the same in numbers")
    query: str = Field(description="the rest of the query; where nothing is left, the model reads all of it")
    synonyms: list[ReadAsBody] = Field(description="words of the query that are also read as others")


class FacetStatsBody(BaseModel):
    min: float | str = Field(description="of dates and times in ISO 8601, as items have them")
    max: float | str
    avg: float | str
    sum: float | None = Field(description="null for dates and times")


class GroupBody(BaseModel):
    value: str | float | bool | None = Field(description="of the column; null for an item without one")
    size: int = Field(description="how many items of this value the query allows, shown or not")
    items: list[str] = Field(description="ids of the items of this answer that have it, as they stand in `items`")


class AnswerBody(BaseModel):
    request_id: str
    items: list[ShownItemBody]
    next_cursor: str | None = Field(description="for the items behind these; null where there are none")
    corrected_query: str | None = Field(None, description="of a search: what the model read, if not what was typed")
    understood: UnderstandingBody | None = Field(
        None,
        description="of a search: what was read as a filter, which narrows the answer, or as synonyms, which"
        " widen it; null where nothing was",
    )
    fit: Fit | None = Field(
        None,
        description="of a guided search: `all`, where an item has all words of the query or is the one that it names;"
        " `some`, where items have some of them or were taken after queries with some; `none`, where the items are"
        " the nearest that the model knows. Null without guidance",
    )
    total: int | None = Field(
        None,
        description="how many items are counted; null where none of `facets`, `sort_by` and `total`"
        " asks for it, and nothing is browsed",
    )
    total_is: CountedSet | None = Field(
        None,
        description="what is counted. `allowed`: all items that are available, meet the filter and are not left out as"
        " seen. `matching`: those of them that have all words of the query, or some where none has all. `answer`: the"
        " items of this answer, where none has any word or the bundle knows no words",
    )
    facetDistribution: dict[str, dict[str, int]] | None = Field(
        None,
        description="of each column of `facets` how many of the counted items have each value, the commonest first, at"
        " most `max_facet_values`. Numbers and times are told where all fit",
    )
    facetStats: dict[str, FacetStatsBody] | None = Field(
        None, description="of columns of numbers and times, where any of the counted items has a value"
    )
    facetValues: dict[str, int] | None = Field(
        None, description="of each column how many values there are, told or not"
    )
    fallback: Fallback | None = Field(
        None,
        description="`popular`: nothing of what was asked for is known, as no item trends, and the popular items are"
        " shown in its place; null elsewhere",
    )
    groups: list[GroupBody] | None = Field(
        None, description="of `group_by`: the groups of the items, in the order of the first item of each"
    )
    pinned: list[str] | None = Field(
        None, description="ids of the items of this page that are pinned; null where the query has no pins"
    )
    pins_missing: list[str] | None = Field(
        None, description="ids of `pinned_hits` that are not in the catalog and were passed over"
    )
    overrides: list[str] | None = Field(
        None, description="ids of the overrides that applied to the query, in their order; null where none did"
    )
    replaced_query: str | None = Field(
        None,
        description="what overrides put in the place of the words that were typed, empty for all items; null where they"
        " put nothing",
    )
    model: str = Field(description="version of the bundle that answered")
    catalog_version: int = Field(description="of that bundle's items: 0 as published, one more after every change")
    took_ms: float
    degraded: bool = Field(
        description="true: something was not used that should have been: the user's history could not be read, or what"
        " guides the search took too long or lacks the newest events"
    )


def answer_body(query: Query, result: QueryResult, seconds: float) -> dict[str, Any]:
    """The shape of AnswerBody. seconds: how long it took."""
    body: dict[str, Any] = {
        "request_id": query.request_id,
        "items": [_item_body(item, query) for item in result.items],
        "next_cursor": result.next_cursor,
        "model": result.model,
        "catalog_version": result.catalog_version,
        "took_ms": round(seconds * 1000, 2),
        "degraded": result.degraded,
    }
    if result.counts is not None:
        body |= _counts_body(result.counts)
    if result.fallback is not None:
        body["fallback"] = result.fallback
    if result.groups is not None:
        body["groups"] = [
            {"value": group.value, "size": group.size, "items": group.item_ids} for group in result.groups
        ]
    if result.pinned is not None:
        body |= {"pinned": result.pinned, "pins_missing": result.pins_missing}
    if result.overrides is not None:
        body["overrides"] = result.overrides
    if result.replaced_query is not None:
        body["replaced_query"] = result.replaced_query
    if query.kind == "search":
        body["corrected_query"] = result.corrected_query
        body["understood"] = result.understood
        body["fit"] = result.fit
    return body


def _counts_body(counts: Counts) -> dict[str, Any]:
    facets = counts.facets
    body: dict[str, Any] = {"total": counts.total, "total_is": counts.of}
    if facets:
        body["facetDistribution"] = {name: facet.distribution for name, facet in facets.items()}
        body["facetStats"] = {name: facet.stats for name, facet in facets.items() if facet.stats is not None}
        body["facetValues"] = {name: facet.distinct for name, facet in facets.items()}
    return body


def _item_body(item: ResultItem, query: Query) -> dict[str, Any]:
    relevance = None if item.relevance is None else round(item.relevance, 6)
    merits: dict[str, Any] = {"score": round(item.score, 6), "relevance": relevance, "reason": item.reason}
    if query.kind == "search":
        merits["matched"] = item.matched
    body = shown(item.record, merits)
    if query.explain:
        body["explanation"] = item.explanation
    return body
