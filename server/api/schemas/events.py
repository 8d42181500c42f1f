"""Events as they are sent, and the receipt for them."""

from typing import Annotated

from pydantic import BaseModel, BeforeValidator, Field, StrictInt, WithJsonSchema
from pydantic_core import PydanticCustomError

from catalog.data.events import EventType
from server.api.schemas.requests import RequestModel, other_names
from server.api.schemas.types import Identifier, QueryText

__all__ = ["MAX_EVENTS", "EventBody", "ReceiptBody"]

MAX_EVENTS = 1_000  # of one POST /events
YEAR_1980_MS = 315_532_800_000


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


class EventBody(RequestModel):
    """One event."""

    user_id: Annotated[Identifier, NumberOrText, Field(json_schema_extra=other_names("user"))]
    item_id: Annotated[Identifier, NumberOrText, Field(json_schema_extra=other_names("item"))]
    type: Annotated[EventType, WithJsonSchema({"type": "string", "enum": list(EventType)})] = EventType.VIEW
    timestamp: Annotated[
        Annotated[StrictInt, Field(ge=0)] | None,
        BeforeValidator(check_timestamp),
        Field(description="Unix milliseconds; the time of arrival where absent"),
    ] = None
    query: Annotated[
        QueryText | None, BeforeValidator(no_blank), Field(description="what the user had typed, where it was a search")
    ] = None
    event_id: Annotated[
        Identifier | None,
        NumberOrText,
        Field(description="the same id is counted once, so a request can be repeated; a new one where absent"),
    ] = None
    request_id: Annotated[Identifier | None, NumberOrText, Field(description="of the answer that showed the item")] = (
        None
    )


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
