"""Users: their history, a session that is merged into theirs, and their erasure."""

from typing import Annotated, ClassVar

from pydantic import BaseModel, Field

from catalog.data.events import EventType
from server.api.schemas.requests import RequestModel, other_names
from server.api.schemas.types import Identifier, WholeNumber

__all__ = ["MAX_HISTORY_EVENTS", "ErasedBody", "HistoryBody", "HistoryParameters", "MergeBody", "MergedBody"]

MAX_HISTORY_EVENTS = 1_000


class HistoryParameters(RequestModel):
    in_url: ClassVar[bool] = True

    limit: Annotated[
        WholeNumber,
        Field(
            ge=1,
            le=MAX_HISTORY_EVENTS,
            description="how many events, the newest first",
            json_schema_extra=other_names("k"),
        ),
    ] = 50


class HistoryEventBody(BaseModel):
    item_id: str
    query: str | None
    type: EventType
    timestamp: int = Field(description="Unix milliseconds")
    event_id: str
    value: float | None = Field(description="of a rating the stars, of a purchase the money; null where none was sent")
    title: str | None = Field(
        description="of the item, a deleted one too; null where it has none, or the catalog never had it"
    )


class HistoryBody(BaseModel):
    request_id: str
    user: str
    events: list[HistoryEventBody]
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
