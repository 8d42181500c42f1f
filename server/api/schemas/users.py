"""What is known of a user, and what becomes of it."""

from typing import Annotated, ClassVar

from pydantic import BaseModel, Field

from catalog.data.events import EventType
from server.api.schemas.requests import RequestModel, other_names
from server.api.schemas.types import Identifier

__all__ = ["ErasedBody", "MergeBody", "MergedBody", "PastBody", "PastParameters"]

MAX_PAST_EVENTS = 1_000


class PastParameters(RequestModel):
    in_url: ClassVar[bool] = True

    limit: Annotated[
        int,
        Field(
            ge=1,
            le=MAX_PAST_EVENTS,
            description="how many events, the newest first",
            json_schema_extra=other_names("k"),
        ),
    ] = 50


class PastEventBody(BaseModel):
    item_id: str
    query: str | None
    type: EventType
    timestamp: int = Field(description="Unix milliseconds")
    event_id: str
    title: str | None = Field(description="of the item; null where the catalog does not have it any more, or has none")


class PastBody(BaseModel):
    request_id: str
    user: str
    events: list[PastEventBody]
    total: int = Field(description="how many events the history has")


class MergeBody(RequestModel):
    session: Annotated[
        Identifier,
        Field(
            description="the id that the visitor's events have as their user_id",
            json_schema_extra=other_names("session_id"),
        ),
    ]


class MergedBody(BaseModel):
    request_id: str
    user: str
    session: str
    moved: int = Field(description="events that the user's history was given; 0 when this is repeated")


class ErasedBody(BaseModel):
    request_id: str
    user: str
    events_erased: int = Field(description="of the user and of the sessions that were merged into it")
