"""Overrides as they are written and shown."""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Annotated, Any, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, Field, WithJsonSchema, model_validator
from pydantic_core import PydanticCustomError

from catalog.data.reading.timestamps import unix_ms
from catalog.filters import MAX_CHARACTERS
from catalog.priors.words import words_in_order
from server.api.schemas.queries.bounded_lists import at_most
from server.api.schemas.queries.pins import MAX_HIDDEN, PinBody, check_pins
from server.api.schemas.requests import RequestModel, other_names
from server.api.schemas.types import Identifier, Number, QueryText, WholeNumber, number
from server.query.listing.boosts import MAX_BOOSTS
from server.query.listing.pins import MAX_PINS
from server.storage.overrides import Boost, Include, Match, Override, Rule

__all__ = [
    "OverrideBody",
    "OverrideDeletedBody",
    "OverrideParameters",
    "OverrideWrittenBody",
    "OverridesBody",
    "Tag",
    "shown_override",
    "texts_of_override",
]

MAX_TAGS = 20
MAX_TAG = 100
MAX_WORDS = 20
NONE: list[Any] = []
YEAR_1980, YEAR_2100 = 315_532_800, 4_102_444_800


def read_moment(value: object) -> object:
    """Unix seconds of ISO 8601 text with a zone, or of a number of seconds or milliseconds. Raises
    PydanticCustomError."""
    if isinstance(value, str):
        try:
            seconds = unix_ms(value) / 1000
        except ValueError as error:
            raise PydanticCustomError("no_moment", "{why}; or give Unix seconds", {"why": str(error)}) from error
    else:
        found = number(value)
        if not isinstance(found, int | float) or not math.isfinite(found):
            return found
        seconds = found / 1000 if abs(found) > YEAR_2100 else float(found)
    if not YEAR_1980 <= seconds <= YEAR_2100:
        raise PydanticCustomError("no_moment", "is not between 1980 and 2100: give ISO 8601 text or Unix seconds")
    return round(seconds, 3)


def check_tag(tag: str) -> str:
    if not tag.strip() or len(tag) > MAX_TAG or "," in tag or not tag.isprintable():
        text = "is no tag: give 1 to {limit} printable characters without commas"
        raise PydanticCustomError("no_tag", text, {"limit": MAX_TAG})
    return tag.strip()


def check_words(query: str) -> str:
    words = words_in_order(query)
    if not words:
        text = "has no letter and no digit: give words; a rule without `query` is for all of its filter or tags"
        raise PydanticCustomError("no_word", text)
    if len(words) > MAX_WORDS:
        raise PydanticCustomError("too_many_words", "has over {limit} words: give fewer", {"limit": MAX_WORDS})
    return query


def check_replacement(query: str) -> str:
    if query.strip() != "*" and not words_in_order(query):
        text = "has no letter and no digit: give words, or * for everything"
        raise PydanticCustomError("no_word", text)
    return query


Tag = Annotated[str, AfterValidator(check_tag)]
FilterText = Annotated[str, Field(min_length=1, max_length=MAX_CHARACTERS)]
MOMENT_SCHEMA = {"anyOf": [{"type": "string", "format": "date-time"}, {"type": "number"}, {"type": "null"}]}
Moment = Annotated[float | None, BeforeValidator(lambda value: None if value is None else read_moment(value))]


class RuleParameters(RequestModel):
    """Which queries the override is for: those that meet all that is named here."""

    query: Annotated[
        QueryText | None,
        AfterValidator(lambda query: None if query is None else check_words(query)),
        Field(
            description="words of a search, as it was typed or corrected; case, accents and punctuation do not count"
        ),
    ] = None
    match: Annotated[
        Match,
        Field(description="`exact`: the search is these words; `contains`: they stand in it, one behind the other"),
    ] = "exact"
    filter_by: Annotated[
        FilterText | None, Field(description="the query's `filter` is this one, however it is spelt")
    ] = None
    tags: Annotated[
        list[Tag],
        Field(max_length=MAX_TAGS, description="the query has one of these in `override_tags`"),
        at_most(MAX_TAGS),
    ] = NONE

    @model_validator(mode="after")
    def _is_for_some(self) -> Self:
        if self.query is None and self.filter_by is None and not self.tags:
            text = "would be for every query: name a `query`, a `filter_by` or `tags`"
            raise PydanticCustomError("matches_everything", text)
        return self


class ExcludeParameters(RequestModel):
    id: Annotated[Identifier, Field(json_schema_extra=other_names("item_id"))]


class BoostParameters(RequestModel):
    condition: Annotated[FilterText, Field(description="a filter: the items that it is about")]
    factor: Annotated[
        Number,
        Field(
            gt=0,
            le=100,
            allow_inf_nan=False,
            description="how much likelier they are: above 1 further up, below 1 further down; 0 is refused, use"
            " `excludes` or `filter_by`",
        ),
    ]


EXCLUDE_SCHEMA = {
    "anyOf": [
        {"type": ["string", "integer"], "description": "an item's id"},
        {
            "type": "object",
            "properties": {"id": {"type": ["string", "integer"]}, "item_id": {"type": ["string", "integer"]}},
            "additionalProperties": False,
        },
    ]
}


class OverrideParameters(RequestModel):
    """An override: what happens, and to which queries."""

    rule: RuleParameters
    includes: Annotated[
        list[PinBody],
        Field(max_length=MAX_PINS, description="items that stand at places of their own, from 1 over all pages"),
        AfterValidator(check_pins),
        at_most(MAX_PINS),
    ] = NONE
    excludes: Annotated[
        list[
            Annotated[
                ExcludeParameters,
                BeforeValidator(lambda value: {"id": value} if isinstance(value, str | int | float) else value),
                WithJsonSchema(EXCLUDE_SCHEMA),
            ]
        ],
        Field(max_length=MAX_HIDDEN, description="items that are left out, as ids or as `{id}`"),
        at_most(MAX_HIDDEN),
    ] = NONE
    filter_by: Annotated[FilterText | None, Field(description="only items that meet this filter come")] = None
    boost: Annotated[
        list[BoostParameters],
        Field(
            max_length=MAX_BOOSTS,
            description="items whose likelihoods are multiplied; of one that meets several conditions, by all factors",
        ),
        at_most(MAX_BOOSTS),
    ] = NONE
    replace_query: Annotated[
        QueryText | None,
        AfterValidator(lambda query: None if query is None else check_replacement(query)),
        Field(description="what is searched in the place of what was typed; `*`: everything that is allowed"),
    ] = None
    remove_matched_tokens: Annotated[
        bool,
        Field(
            description="the words of the rule's `query` are not searched; where no others are left, everything comes"
        ),
    ] = False
    stop_processing: Annotated[
        bool, Field(description="where this override applies, none that comes after it does")
    ] = False
    priority: Annotated[
        WholeNumber,
        Field(
            ge=-1_000,
            le=1_000,
            description="of several overrides for one query the greatest applies first, of"
            " equals in the order of their ids",
        ),
    ] = 0
    starts_at: Annotated[
        Moment, WithJsonSchema(MOMENT_SCHEMA), Field(description="ISO 8601 with a zone, or Unix seconds; null: at once")
    ] = None
    ends_at: Annotated[
        Moment, WithJsonSchema(MOMENT_SCHEMA), Field(description="from then on it applies no more; null: never")
    ] = None

    @model_validator(mode="after")
    def _makes_sense(self) -> Self:
        pinned = {pin.id for pin in self.includes}
        for place, one in enumerate(self.excludes):
            if one.id in pinned:
                text = "is pinned and left out: take {id} out of `includes` or `excludes`"
                raise PydanticCustomError("pinned_and_excluded", text, {"field": f"excludes.{place}", "id": one.id})
        if self.remove_matched_tokens and self.replace_query is not None:
            text = "goes without `replace_query`, which is searched as it is: leave out one of them"
            raise PydanticCustomError("two_texts", text, {"field": "remove_matched_tokens"})
        if self.remove_matched_tokens and self.rule.query is None:
            text = "is about the words of the rule: give `rule.query`"
            raise PydanticCustomError("no_word", text, {"field": "remove_matched_tokens"})
        of_text = self.replace_query is not None or self.remove_matched_tokens
        if not (self.includes or self.excludes or self.filter_by or self.boost or of_text or self.stop_processing):
            text = (
                "does nothing: give `includes`, `excludes`, `filter_by`, `boost`, `replace_query`,"
                " `remove_matched_tokens` or `stop_processing`"
            )
            raise PydanticCustomError("no_effect", text)
        if self.starts_at is not None and self.ends_at is not None and self.ends_at <= self.starts_at:
            text = "is not after `starts_at`: it would never apply"
            raise PydanticCustomError("ends_before_it_starts", text, {"field": "ends_at"})
        return self

    def override(self, override_id: str) -> Override:
        return Override(
            override_id,
            Rule(self.rule.query, self.rule.match, self.rule.filter_by, tuple(dict.fromkeys(self.rule.tags))),
            tuple(Include(pin.id, pin.position) for pin in self.includes),
            tuple(dict.fromkeys(one.id for one in self.excludes)),
            self.filter_by,
            tuple(Boost(one.condition, one.factor) for one in self.boost),
            self.priority,
            self.starts_at,
            self.ends_at,
            self.replace_query,
            self.remove_matched_tokens,
            self.stop_processing,
        )


class RuleBody(BaseModel):
    query: str | None
    match: Match
    filter_by: str | None
    tags: list[str]


class IncludeBody(BaseModel):
    id: str
    position: int


class ExcludeBody(BaseModel):
    id: str


class BoostBody(BaseModel):
    condition: str
    factor: float


class OverrideBody(BaseModel):
    id: str
    rule: RuleBody
    includes: list[IncludeBody]
    excludes: list[ExcludeBody]
    filter_by: str | None
    boost: list[BoostBody]
    replace_query: str | None
    remove_matched_tokens: bool
    stop_processing: bool
    priority: int
    starts_at: str | None = Field(description="ISO 8601, in UTC; null: it applies at once")
    ends_at: str | None = Field(description="ISO 8601, in UTC; null: for ever")


class OverridesBody(BaseModel):
    overrides: list[OverrideBody]
    total: int
    next_cursor: str | None = Field(description="for the overrides behind these; null where there are none")


class OverrideWrittenBody(OverrideBody):
    request_id: str
    created: bool = Field(description="false: it took the place of another")
    missing: list[str] = Field(
        description="ids of it that no item has now: they are kept, and passed over until there is such an item"
    )


class OverrideDeletedBody(BaseModel):
    request_id: str
    id: str


def shown_override(one: Override) -> dict[str, Any]:
    """The shape of OverrideBody."""
    return {
        "id": one.id,
        "rule": one.rule,
        "includes": one.includes,
        "excludes": [{"id": item_id} for item_id in one.excludes],
        "filter_by": one.filter_by,
        "boost": one.boost,
        "replace_query": one.replace_query,
        "remove_matched_tokens": one.remove_matched_tokens,
        "stop_processing": one.stop_processing,
        "priority": one.priority,
        "starts_at": _iso(one.starts_at),
        "ends_at": _iso(one.ends_at),
    }


def texts_of_override(one: Override) -> Iterator[str]:
    """In which a search of the list looks: its id and rule, the query that it writes, and the items that it names."""
    yield one.id
    for text in (one.rule.query, one.rule.filter_by, one.replace_query):
        if text is not None:
            yield text
    yield from one.rule.tags
    yield from (pin.id for pin in one.includes)
    yield from one.excludes


def _iso(seconds: float | None) -> str | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")
