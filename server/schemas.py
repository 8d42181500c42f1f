"""What goes over the wire: parameters that are read, and the shape of every answer.

Answers are built as plain dictionaries and written by orjson; the models whose names end in `Body` document them in
`/openapi.json`.
"""

from http import HTTPStatus
from typing import Annotated, Any, Literal

import orjson
from fastapi import Response
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StrictInt, WithJsonSchema
from pydantic_core import PydanticCustomError

from catalog.events import EventType
from server.text import Identifier, Query

__all__ = [
    "LARGEST_K",
    "MOST_EVENTS",
    "MOST_ITEMS",
    "ActivationBody",
    "AnswerBody",
    "ChangeBody",
    "EventBody",
    "ItemBody",
    "ModelsBody",
    "ProblemBody",
    "ReadyBody",
    "ReceiptBody",
    "RecommendParameters",
    "SearchParameters",
    "VersionBody",
    "json_response",
    "problems",
    "shown",
]

LARGEST_K = 200
MOST_EVENTS = 1_000  # of one POST /events
MOST_CANDIDATES = 1_000
MOST_ITEMS = 1_000  # of one POST /items
YEAR_1980_MS = 315_532_800_000


class Parameters(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    k: Annotated[int, Field(ge=1, le=LARGEST_K, description="how many items")] = 10
    filter: Annotated[
        str | None,
        Field(description='only items that meet this expression, as in `category = "Tents" and price < 200`'),
    ] = None
    candidates: Annotated[
        list[Identifier] | None,
        Field(max_length=MOST_CANDIDATES, description="rank these items only; ids that nobody knows are passed over"),
    ] = None


class SearchParameters(Parameters):
    q: Annotated[Query, Field(description="what was typed")]
    user: Annotated[Identifier | None, Field(description="whose history to take into account")] = None
    exclude_seen: Annotated[bool, Field(description="leave out what is in the user's history")] = False


class RecommendParameters(Parameters):
    user: Annotated[Identifier, Field(description="for whom; somebody unknown has an empty history")]
    exclude_seen: Annotated[bool, Field(description="leave out what is in the user's history")] = True


def text_of_number(value: object) -> object:
    """Ids may be whole numbers, as in the files of the events contract."""
    return str(value) if type(value) is int else value


def no_blank(value: object) -> object:
    """A blank query is no query, as in the files of the events contract."""
    return None if isinstance(value, str) and not value.strip() else value


def check_timestamp(value: object) -> object:
    if type(value) is int and 0 <= value < YEAR_1980_MS:
        raise PydanticCustomError("timestamp_in_seconds", "is before 1980: give Unix milliseconds, not seconds")
    return value


NumberOrText = BeforeValidator(text_of_number)


class EventBody(BaseModel):
    """One event."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    user_id: Annotated[Identifier, NumberOrText]
    item_id: Annotated[Identifier, NumberOrText]
    type: Annotated[EventType, WithJsonSchema({"type": "string", "enum": list(EventType)})] = EventType.VIEW
    timestamp: Annotated[
        Annotated[StrictInt, Field(ge=0)] | None,
        BeforeValidator(check_timestamp),
        Field(description="Unix milliseconds; the time of arrival where absent"),
    ] = None
    query: Annotated[
        Query | None, BeforeValidator(no_blank), Field(description="what the user had typed, where it was a search")
    ] = None
    event_id: Annotated[
        Identifier | None,
        NumberOrText,
        Field(description="the same id is counted once, so a request can be repeated; a new one where absent"),
    ] = None
    request_id: Annotated[Identifier | None, NumberOrText, Field(description="of the answer that showed the item")] = (
        None
    )


class ItemBody(BaseModel):
    """An item with every further column of the catalogue."""

    model_config = ConfigDict(extra="allow")

    id: str
    title: str | None
    description: str | None
    brand: str | None
    categories: list[str] | None
    price: float | None
    available: bool


class ScoredItemBody(ItemBody):
    score: float = Field(description="log-probability; comparable within one answer only")


class AnswerBody(BaseModel):
    request_id: str
    items: list[ScoredItemBody]
    model: str = Field(description="version of the bundle that answered")
    catalog_version: int = Field(description="of that bundle's items: 0 as published, one more after every change")
    took_ms: float
    degraded: bool = Field(description="true: the user's history could not be read and was not used")


class AcceptedRow(BaseModel):
    index: int
    event_id: str
    duplicate: bool = Field(description="true: this event id was recorded before, nothing was added")


class RejectedRow(BaseModel):
    index: int
    code: str
    reason: str


class ReceiptBody(BaseModel):
    request_id: str
    accepted: list[AcceptedRow]
    rejected: list[RejectedRow]


class ChangeBody(BaseModel):
    """What became of items: every id is in one of the lists."""

    request_id: str
    inserted: list[str]
    replaced: list[str]
    deleted: list[str]
    missing: list[str] = Field(description="to be deleted, but not in the catalogue")
    catalog_version: int


class ModelsBody(BaseModel):
    current: str
    previous: str | None = Field(description="what a rollback would activate")
    versions: list[str]


class ActivationBody(BaseModel):
    request_id: str
    model: str
    previous: str
    took_ms: float


class ReadyBody(BaseModel):
    status: Literal["ready", "degraded"]
    checks: dict[str, str] = Field(description='"ok", or what is wrong')


class VersionBody(BaseModel):
    gemserve: str
    model: str
    engine: str
    method: str
    base_model: str
    identifiers: str
    created: str
    items: int
    catalog_version: int


class ProblemBody(BaseModel):
    """RFC 9457 `application/problem+json`; some problems have further members."""

    model_config = ConfigDict(extra="allow")

    type: str
    title: str
    status: int
    detail: str
    code: str
    request_id: str


def json_response(body: dict[str, Any], status: int = 200) -> Response:
    return Response(orjson.dumps(body, default=str), status, media_type="application/json")


def shown(record: dict[str, Any], score: float | None = None) -> dict[str, Any]:
    """A catalogue record as clients see it: `id` and `title` first, then the score, then every other column."""
    item: dict[str, Any] = {"id": record["item_id"], "title": record["title"]}
    if score is not None:
        item["score"] = round(score, 6)
    taken = {"item_id", *item}
    return item | {name: value for name, value in record.items() if name not in taken}


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """For `responses=` of a route: the statuses with which it may answer a problem."""
    content = {"application/problem+json": {"schema": ProblemBody.model_json_schema()}}
    return {status: {"description": HTTPStatus(status).phrase, "content": content} for status in statuses}
