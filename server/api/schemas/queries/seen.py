"""`exclude_seen`: true, false, or the types of events whose items are left out."""

from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator, WithJsonSchema
from pydantic_core import PydanticCustomError

from catalog.data.events import EventType
from catalog.nearest import nearest_name
from server.query.types import SEEN_TYPES

__all__ = ["NO_TYPES", "SeenTypes", "read_seen"]

NO_TYPES: list[EventType] = []
YES, NO = {"true", "1", "yes", "on", "t", "y"}, {"false", "0", "no", "off", "f", "n"}
"""As pydantic reads true and false."""


def read_seen(value: object) -> object:
    """The types as a list, from true, false, names with commas in between, or a list of such."""
    if isinstance(value, bool) or value in (0, 1):
        return list(SEEN_TYPES) if value else []
    if not isinstance(value, str | list) or len(value) > MAX_LENGTH:
        raise _unreadable()
    parts = [value] if isinstance(value, str) else value
    if not all(isinstance(part, str) and len(part) <= MAX_LENGTH for part in parts):
        raise _unreadable()
    names = [name.strip().lower() for part in parts for name in part.split(",")]
    if len(names) == 1 and names[0] in YES | NO:
        return list(SEEN_TYPES) if names[0] in YES else []
    for name in names:
        if name not in SEEN_TYPES:
            raise _unknown(name)
    return sorted(set(names))


MAX_LENGTH = 200
"""Characters, and names of a list."""


def _unreadable() -> PydanticCustomError:
    known = ", ".join(SEEN_TYPES)
    return PydanticCustomError(
        "seen_types", "give true, false, or types of events, as in purchase,cart: {known}", {"known": known}
    )


def _unknown(name: str) -> PydanticCustomError:
    near = nearest_name(name, ["true", "false", *SEEN_TYPES])
    hint = f"did you mean {near}?" if near is not None else f"give true, false, or of {', '.join(SEEN_TYPES)}"
    return PydanticCustomError(
        "seen_types", "{name} is no type of event: {hint}", {"name": repr(name[:50]), "hint": hint}
    )


_NAMES = {"type": "string", "enum": list(SEEN_TYPES)}
SeenTypes = Annotated[
    list[EventType],
    BeforeValidator(read_seen),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "boolean"},
                {"type": "array", "items": _NAMES, "maxItems": MAX_LENGTH},
                {"type": "string", "description": "types of events with commas in between"},
            ]
        }
    ),
]
