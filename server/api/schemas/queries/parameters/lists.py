"""Parameters of every list of items: its page, filter, order, groups, facets and pins."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema, field_validator

from catalog.facets import MAX_VALUES
from server.api.schemas.queries.bounded_lists import MAX_FIELDS, at_most, split_names
from server.api.schemas.queries.pins import MAX_HIDDEN, PINS_SCHEMA, PinBody, check_pins, read_hidden, read_pins
from server.api.schemas.requests import RequestModel, other_names
from server.api.schemas.types import Identifier, WholeNumber
from server.core.settings import MAX_K
from server.query.cursor import MAX_URL_CURSOR
from server.query.listing.pins import MAX_PINS
from server.query.types import Kind, Pin, Query

__all__ = ["MAX_CURSOR_LENGTH", "MAX_SORT_LENGTH", "BrowseParameters", "ListParameters"]

MAX_SORT_LENGTH = 1_000
MAX_CURSOR_LENGTH = 1 << 17  # characters, more than the longest that is ever made


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
