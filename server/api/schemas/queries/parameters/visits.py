"""What a user did, as a body tells it in place of a stored history."""

from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator, Field
from pydantic_core import PydanticCustomError

from catalog.data.events import EventType
from server.api.schemas.requests import RequestModel, other_names
from server.api.schemas.types import Identifier, QueryText

__all__ = ["PAST_TYPES", "VISIT_SCHEMA", "PastType", "VisitBody", "past_type", "visit_of"]

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


def visit_of(value: object) -> object:
    return {"item_id": value} if isinstance(value, str | int | float) else value
