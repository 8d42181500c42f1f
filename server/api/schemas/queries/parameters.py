"""Parameters of searches and recommendations, which URLs and bodies share."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Self

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema, field_validator, model_validator
from pydantic_core import PydanticCustomError, PydanticKnownError

from catalog.data.events import EventType
from catalog.facets import MAX_VALUES
from server.api.schemas.queries.pins import (
    MAX_HIDDEN,
    PINS_SCHEMA,
    PinBody,
    check_pins,
    read_hidden,
    read_pins,
)
from server.api.schemas.queries.seen import SeenTypes
from server.api.schemas.requests import RequestModel, other_names
from server.api.schemas.types import Identifier, Number, QueryText, WholeNumber
from server.core.settings import MAX_K
from server.query.cursor import MAX_URL_CURSOR
from server.query.listing.pins import MAX_PINS
from server.query.types import NOT_AGAIN, Kind, Pin, Query
from server.storage.protocol import TypedVisit

__all__ = [
    "BrowseParameters",
    "ListParameters",
    "Parameters",
    "RecommendBody",
    "RecommendParameters",
    "SearchBody",
    "SearchParameters",
    "SimilarParameters",
]

EVERYTHING = "*"
NO_TYPES: list[EventType] = []
UNASKED = sorted(map(EventType, NOT_AGAIN))
MAX_CANDIDATES = 1_000
MAX_FIELDS = 200
MAX_VISITS = 200
MAX_SORT_LENGTH = 1_000
MAX_CURSOR_LENGTH = 1 << 17  # characters, more than the longest that is ever made


def check_length(length: int, most: int) -> None:
    """Raises PydanticKnownError as a list of so many elements does."""
    if length > most:
        raise PydanticKnownError("too_long", {"field_type": "List", "max_length": most, "actual_length": length})


def at_most(most: int) -> BeforeValidator:
    """Refuses a longer list before its elements are looked at, of which each might be an error of its own."""

    def check(value: object) -> object:
        if isinstance(value, list):
            check_length(len(value), most)
        return value

    return BeforeValidator(check)


def split_names(value: object) -> object:
    """Names with commas in between, as a URL has them, or a list of such."""
    names = [value] if isinstance(value, str) else value
    if not isinstance(names, list):
        return value
    check_length(len(names) + sum(name.count(",") for name in names if isinstance(name, str)), MAX_FIELDS)
    parts = [part for name in names for part in (name.split(",") if isinstance(name, str) else [name])]
    return [part.strip() if isinstance(part, str) else part for part in parts]


def visit_of(value: object) -> object:
    return {"item_id": value} if isinstance(value, str | int | float) else value


PAST_TYPES = [kind.value for kind in EventType if kind is not EventType.IMPRESSION]


def past_type(value: object) -> object:
    """Raises PydanticCustomError for what no history has."""
    if value not in PAST_TYPES:
        raise PydanticCustomError(
            "past_type", "is no type of a history: one of {known}", {"known": ", ".join(PAST_TYPES)}
        )
    return value


PastType = Annotated[EventType, BeforeValidator(past_type)]


class VisitBody(RequestModel):
    """One item of an inline history."""

    item_id: Annotated[Identifier, Field(json_schema_extra=other_names("item"))]
    query: QueryText | None = None
    type: PastType = EventType.VIEW


VISIT_SCHEMA = {
    "anyOf": [
        {"type": ["string", "integer"], "description": "an item's id"},
        {
            "type": "object",
            "properties": {
                "item_id": {"type": ["string", "integer"]},
                "item": {"type": ["string", "integer"], "description": "another name of `item_id`"},
                "query": {"type": "string", "description": "what they had typed, where it was a search"},
                "type": {"type": "string", "enum": PAST_TYPES, "description": "what they did; a view where absent"},
            },
            "required": ["item_id"],
            "additionalProperties": False,
        },
    ]
}


class ListParameters(RequestModel):
    """Parameters of every list of items."""

    in_url: ClassVar[bool] = True

    k: Annotated[
        WholeNumber, Field(ge=1, le=MAX_K, description="how many items", json_schema_extra=other_names("limit"))
    ] = 10
    cursor: Annotated[
        str | None,
        Field(
            max_length=MAX_CURSOR_LENGTH,
            description="`next_cursor` of an answer to the same query: the items behind that answer's",
        ),
    ] = None
    filter: Annotated[
        str | None,
        Field(description='only items that meet this expression, as in `category = "Tents" and price < 200`'),
    ] = None
    fields: Annotated[
        list[str] | None,
        Field(max_length=MAX_FIELDS),  # before the validator: behind it, it would count the names of None
        BeforeValidator(split_names),
        Field(
            description="columns of an item that are wanted, in a URL with commas; `id`,"
            " `score`, `relevance`, `reason` and, of a search, `matched` always come",
        ),
    ] = None
    sort_by: Annotated[
        str | None,
        Field(
            max_length=MAX_SORT_LENGTH,
            description="columns to sort by, the first counts most, at most three: `price:asc,brand:desc`. `_relevance`"
            " stands for the order without it, which is also that of items that are equal. Items without a value come"
            " last. All items that are counted are sorted; `total_is` of the answer says which",
            examples=["price:asc,_relevance:desc"],
        ),
    ] = None
    group_by: Annotated[
        str | None,
        Field(
            description="a column: of each of its values at most `group_limit` items come, over all pages. Items"
            " without a value are each a group of their own",
            examples=["parent_id"],
        ),
    ] = None
    group_limit: Annotated[WholeNumber, Field(ge=1, le=10, description="items of each value of `group_by`")] = 1
    max_per: Annotated[
        str | None,
        Field(
            max_length=MAX_SORT_LENGTH,
            description="columns, at most three, and how many items of each of their values come over all pages",
            examples=["brand:3"],
        ),
    ] = None
    facets: Annotated[
        list[str] | None,
        Field(max_length=MAX_FIELDS),
        BeforeValidator(split_names),
        Field(
            description="columns whose values are counted, in a URL with commas; `*`: all but ids, titles and"
            " descriptions. `total_is` of the answer says what is counted"
        ),
    ] = None
    max_facet_values: Annotated[
        WholeNumber, Field(ge=1, le=MAX_VALUES, description="values of a column that are told, the commonest")
    ] = 10
    disjunctive_facets: Annotated[
        bool,
        Field(
            description="count each column as if the conditions that `filter` joins by `and` and that are on this"
            " column alone were not there: how many items another choice would give"
        ),
    ] = False
    total: Annotated[bool, Field(description="count the items even where no facets are wanted")] = False
    pinned_hits: Annotated[
        list[PinBody] | None,
        Field(max_length=MAX_PINS),
        AfterValidator(check_pins),
        BeforeValidator(read_pins),
        WithJsonSchema(PINS_SCHEMA),
    ] = None
    hidden_hits: Annotated[
        list[Identifier] | None,
        Field(
            max_length=MAX_HIDDEN,
            description="ids of items that are left out, pinned or not; in a URL with commas",
        ),
        at_most(MAX_HIDDEN),
    ] = None
    enable_overrides: Annotated[
        bool, Field(description="apply the shop's overrides for this query; false: leave it as it is asked")
    ] = True
    override_tags: Annotated[
        list[str] | None,
        Field(max_length=MAX_FIELDS),
        BeforeValidator(split_names),
        Field(description="tags by which overrides are chosen, in a URL with commas"),
    ] = None
    timeout_ms: Annotated[
        WholeNumber | None, Field(ge=1, description="longest wait; then 504, or 503 at once where it cannot be met")
    ] = None

    @field_validator("hidden_hits", mode="before")
    @classmethod
    def _split_hidden(cls, value: object) -> object:
        return read_hidden(value, in_url=cls.in_url)

    def _list_query(self, request_id: str, kind: Kind, **particulars: Any) -> Query:
        return Query(
            request_id=request_id,
            kind=kind,
            k=self.k,
            cursor=self.cursor,
            max_cursor=MAX_URL_CURSOR if self.in_url else None,
            filter=self.filter,
            fields=self.fields,
            timeout_ms=self.timeout_ms,
            facets=self.facets,
            max_facet_values=self.max_facet_values,
            disjunctive_facets=self.disjunctive_facets,
            total=self.total,
            sort_by=self.sort_by,
            group_by=self.group_by,
            group_limit=self.group_limit,
            max_per=self.max_per,
            pins=tuple(Pin(pin.id, pin.position) for pin in self.pinned_hits or ()),
            hidden=tuple(self.hidden_hits or ()),
            overrides=self.enable_overrides,
            override_tags=tuple(self.override_tags or ()),
            **particulars,
        )


class BrowseParameters(ListParameters):
    """Parameters of GET /items."""

    def to_query(self, request_id: str) -> Query:
        return self._list_query(request_id, "browse")


class Parameters(ListParameters):
    """Parameters of every query."""

    candidates: Annotated[
        list[Identifier] | None,
        Field(max_length=MAX_CANDIDATES, description="rank these items only; ids that nobody knows are passed over"),
        at_most(MAX_CANDIDATES),
    ] = None
    min_score: Annotated[
        Number | None, Field(allow_inf_nan=False, description="items of a lower score are left out")
    ] = None
    explain: Annotated[bool, Field(description="say how likely every code was, and what the history did")] = False
    diversity: Annotated[
        Number,
        Field(
            ge=0,
            le=1,
            description="how much the items of a page differ from each other: 0 for the best ones, 1 for those of the"
            " best max(5k, 50) that are least alike",
        ),
    ] = 0.0
    guidance: Annotated[
        bool | None,
        Field(
            description="join what words, clicks and people's habits say with the model, inside the search, as the"
            " server does unless it is told otherwise; false: the model alone",
        ),
    ] = None

    @model_validator(mode="after")
    def _has_one_order(self) -> Self:
        if self.sort_by is not None and (field := self._needs_scores) is not None:
            text = "goes with the order of relevance only: leave out either it or sort_by"
            raise PydanticCustomError("two_orders", text, {"field": field})
        return self

    @property
    def _needs_scores(self) -> str | None:
        """The first parameter that was given and means nothing where items have no scores."""
        if self.min_score is not None:
            return "min_score"
        return "diversity" if self.diversity > 0 else None

    def _query(self, request_id: str, kind: Kind, **particulars: Any) -> Query:
        return self._list_query(
            request_id,
            kind,
            candidates=self.candidates,
            min_score=self.min_score,
            explain=self.explain,
            diversity=self.diversity,
            guidance=self.guidance,
            **particulars,
        )


HistoryUser = Annotated[
    Identifier | None, Field(description="whose history to take into account", json_schema_extra=other_names("user_id"))
]
HistorySession = Annotated[
    Identifier | None,
    Field(
        description="under which events of theirs were recorded before they had an account: read too",
        json_schema_extra=other_names("session_id"),
    ),
]


class PersonalParameters(Parameters):
    """Parameters of queries with somebody's history."""

    user: HistoryUser = None
    session: HistorySession = None
    exclude_seen: Annotated[
        SeenTypes,
        Field(
            description="leave out what is in the history: true for all of it, or the types of events whose items to"
            " leave out, as in purchase,cart"
        ),
    ] = NO_TYPES

    def _personal_query(self, request_id: str, kind: Kind, **particulars: Any) -> Query:
        return self._query(
            request_id,
            kind,
            user=self.user,
            session=self.session,
            history=self.inline_history,
            exclude_seen=frozenset(kind.value for kind in self.exclude_seen),
            **particulars,
        )

    @property
    def inline_history(self) -> tuple[TypedVisit, ...] | None:
        """Oldest first."""
        return None


class SearchParameters(PersonalParameters):
    q: Annotated[QueryText, Field(description="what was typed; `*`: everything that is allowed, as GET /items")]
    correct: Annotated[bool, Field(description="replace words that no item contains by the nearest that one does")] = (
        True
    )
    understand: Annotated[
        bool,
        Field(
            description="read prices in the query as a filter, as in `tent under 200`, and words as their synonyms too;"
            " `understood` says which"
        ),
    ] = True
    prefix: Annotated[
        bool,
        Field(
            description="read the last word of a guided search as the beginning of one too, where no item has it as it"
            " was typed; false: words are complete"
        ),
    ] = True

    @model_validator(mode="after")
    def _has_scores(self) -> Self:
        if self.q == EVERYTHING and (field := self._needs_scores) is not None:
            text = "goes with a search for words only: leave it out, or write words in q"
            raise PydanticCustomError("no_scores", text, {"field": field})
        return self

    def to_query(self, request_id: str) -> Query:
        if self.q == EVERYTHING:
            return self._personal_query(request_id, "browse")
        return self._personal_query(
            request_id,
            "search",
            text=self.q,
            correct=self.correct,
            understand=self.understand,
            prefix=self.prefix,
        )


class RecommendParameters(PersonalParameters):
    """`user`, `session` or both; somebody unknown has an empty history."""

    exclude_seen: Annotated[
        SeenTypes,
        Field(
            description="leave out what is in the history: true for all of it, false for nothing, or the types of"
            " events whose items to leave out; what the user dislikes never comes"
        ),
    ] = UNASKED

    @model_validator(mode="after")
    def _is_for_somebody(self) -> Self:
        if self.user is None and self.session is None and self.inline_history is None:
            raise PydanticCustomError("nobody", "give the user, session or history to recommend for")
        return self

    def to_query(self, request_id: str) -> Query:
        return self._personal_query(request_id, "recommend")


class SimilarParameters(Parameters):
    def similar_query(self, request_id: str, item_id: str) -> Query:
        return self._query(request_id, "similar", history=((item_id, None),))


class InlineHistory(PersonalParameters):
    """What a body may hold beyond what a URL may."""

    in_url: ClassVar[bool] = False

    history: Annotated[
        list[Annotated[VisitBody, BeforeValidator(visit_of), WithJsonSchema(VISIT_SCHEMA)]] | None,
        Field(max_length=MAX_VISITS, description="oldest first; takes the place of a stored history"),
        at_most(MAX_VISITS),
    ] = None

    @model_validator(mode="after")
    def _has_one_history(self) -> Self:
        if self.history is not None and (self.user is not None or self.session is not None):
            raise PydanticCustomError("two_histories", "give either a history, or the user and session to read it from")
        return self

    @property
    def inline_history(self) -> tuple[TypedVisit, ...] | None:
        if self.history is None:
            return None
        return tuple((visit.item_id, visit.query, visit.type.value) for visit in self.history)


class SearchBody(InlineHistory, SearchParameters):
    """As the parameters of GET /search, and `history`."""


class RecommendBody(RecommendParameters, InlineHistory):
    """As the parameters of GET /recommend, and `history`."""
