"""Events as they are sent, and the receipt for them."""

from typing import Annotated

from pydantic import BaseModel, BeforeValidator, Field, ValidationError, WithJsonSchema
from pydantic_core import PydanticCustomError

from catalog.data.events import EventType
from catalog.data.reading.timestamps import unix_ms
from server.api.schemas.requests import RequestModel, as_sent, other_names
from server.api.schemas.types import Identifier, QueryText, whole_number
from server.core.errors import describe

__all__ = ["MAX_EVENTS", "EventBody", "ReceiptBody", "faults_of"]

MAX_EVENTS = 1_000  # of one POST /events
YEAR_1980_MS = 315_532_800_000


def no_blank(value: object) -> object:
    """A blank query is no query, as in the files of the events contract."""
    return None if isinstance(value, str) and not value.strip() else value


def read_timestamp(value: object) -> object:
    """Unix milliseconds for ISO 8601 text. A time without a zone is refused, as nobody can tell which moment it is."""
    if isinstance(value, str):
        try:
            moment = unix_ms(value)
        except ValueError as error:
            message = "{why}; or give Unix milliseconds, a number"
            raise PydanticCustomError("timestamp_not_iso", message, {"why": str(error)}) from error
        if moment < YEAR_1980_MS:
            raise PydanticCustomError(
                "timestamp_too_early", "is before 1980: no earlier time is taken, as a number too"
            )
        return moment
    value = whole_number(value)
    if isinstance(value, int) and 0 <= value < YEAR_1980_MS:
        raise PydanticCustomError("timestamp_in_seconds", "is before 1980: give Unix milliseconds, not seconds")
    return value


TIMESTAMP_MS = {"type": "integer", "minimum": YEAR_1980_MS}
TIMESTAMP_ISO = {"type": "string", "format": "date-time"}


class EventBody(RequestModel):
    """One event."""

    user_id: Annotated[Identifier, Field(json_schema_extra=other_names("user"))]
    item_id: Annotated[Identifier, Field(json_schema_extra=other_names("item"))]
    type: Annotated[
        EventType,
        WithJsonSchema({"type": "string", "enum": list(EventType)}),
        Field(description="what the user did; never guessed, so that no purchase becomes a view"),
    ]
    timestamp: Annotated[
        Annotated[int, Field(ge=0)] | None,
        BeforeValidator(read_timestamp),
        WithJsonSchema({"anyOf": [TIMESTAMP_MS, TIMESTAMP_ISO, {"type": "null"}]}),
        Field(
            description="Unix milliseconds, or ISO 8601 text with a zone, such as 2025-11-20T12:00:00Z;"
            " the time of arrival where absent"
        ),
    ] = None
    query: Annotated[
        QueryText | None, BeforeValidator(no_blank), Field(description="what the user had typed, where it was a search")
    ] = None
    event_id: Annotated[
        Identifier | None,
        Field(description="the same id is counted once, so a request can be repeated; a new one where absent"),
    ] = None
    request_id: Annotated[Identifier | None, Field(description="of the answer that showed the item")] = None
    value: Annotated[
        float | None,
        Field(allow_inf_nan=False, strict=True, description="of a rating the stars, of a purchase the money"),
    ] = None


def faults_of(error: ValidationError, row: object) -> list[dict[str, str]]:
    """What is wrong with an event, as `server.core.errors.describe` gives it, by the names that the row has; a missing
    type names those there are."""
    missing = ("type", "missing")
    required = f"Field required: one of {', '.join(EventType)}"
    return [
        fault | {"message": required} if (fault["field"], fault["code"]) == missing else fault
        for fault in describe(as_sent(error, row, EventBody))
    ]


class AcceptedRow(BaseModel):
    index: int
    event_id: str
    duplicate: bool = Field(description="true: this event id was recorded before, nothing was added")
    known: bool = Field(
        description="false: the catalog has no such item now; an event of one that is to come counts once it has"
    )


class RejectedRow(BaseModel):
    index: int
    field: str | None = Field(description="that is wrong, the first of several; null where the row is no object")
    code: str
    reason: str


class ReceiptBody(BaseModel):
    request_id: str
    accepted: list[AcceptedRow]
    rejected: list[RejectedRow]
