"""Parameters and answers of suggestions."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from server.api.schemas.queries.bounded_lists import split_names
from server.api.schemas.requests import RequestModel, other_names
from server.api.schemas.types import MAX_QUERY_LENGTH, UNPRINTABLE, WholeNumber

__all__ = ["MAX_SUGGESTIONS", "SuggestBody", "SuggestParameters"]

MAX_SUGGESTIONS = 20
"""Of each kind."""

Kind = Literal["queries", "categories", "items"]


def printable(text: str) -> str:
    """The text in one line; a space at its end says that a word is finished."""
    return UNPRINTABLE.sub(" ", text).lstrip()


class SuggestParameters(RequestModel):
    """What is asked of suggestions."""

    in_url: ClassVar[bool] = True

    q: Annotated[
        str,
        Field(
            max_length=MAX_QUERY_LENGTH,
            description="what somebody has typed so far; nothing for what is popular",
            examples=["te"],
        ),
        AfterValidator(printable),
    ] = ""
    k: Annotated[
        WholeNumber,
        Field(
            ge=1,
            le=MAX_SUGGESTIONS,
            description="suggestions of each kind at most",
            json_schema_extra=other_names("limit"),
        ),
    ] = 5
    kinds: Annotated[
        tuple[Kind, ...],
        BeforeValidator(split_names),
        Field(min_length=1, max_length=3, description="what is wanted, in a URL with commas"),
    ] = ("queries", "categories", "items")
    filter: Annotated[
        str | None,
        Field(description="only items that meet this expression are suggested and counted"),
    ] = None


class SuggestedQueryBody(BaseModel):
    text: str = Field(description="what at least five people typed, and found something by")
    start: int = Field(description="where the part begins that completes what was typed, in Unicode code points")


class SuggestedValueBody(BaseModel):
    column: str = Field(description="whose value it is, as `categories` or `brand`")
    value: str
    count: int = Field(description="how many items that may be shown have it")
    filter: str = Field(description="an expression for these items, as `filter` of a search takes it")
    start: int = Field(description="where the typed part begins in `value`, in Unicode code points")
    end: int = Field(description="behind it")


class SuggestedItemBody(BaseModel):
    """An item with every column of the catalog."""

    model_config = ConfigDict(extra="allow")

    id: str
    title: str | None = None
    start: int = Field(description="where the typed part begins in `title`; 0 as `end` is where it is not there")
    end: int = Field(description="behind it")


class SuggestBody(BaseModel):
    request_id: str
    model: str
    catalog_version: int
    queries: list[SuggestedQueryBody]
    categories: list[SuggestedValueBody]
    items: list[SuggestedItemBody]
