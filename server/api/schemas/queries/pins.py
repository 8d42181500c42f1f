"""Items at places of a shop's own choice, and items that are left out, as URLs and bodies name them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated, Any

from pydantic import Field
from pydantic_core import PydanticCustomError

from server.api.schemas.requests import RequestModel, other_names
from server.api.schemas.types import Identifier, WholeNumber
from server.query.cursor import MAX_SHOWN
from server.query.listing.pins import MAX_PINS

__all__ = ["MAX_HIDDEN", "PINS_SCHEMA", "PinBody", "check_pins", "read_hidden", "read_pins"]

MAX_HIDDEN = 1_000
MAX_LENGTH = 16_384
"""Characters of a text with pins: what a URL may have."""

PINS_SCHEMA: dict[str, Any] = {
    "anyOf": [
        {"type": "string"},
        {
            "type": "array",
            "maxItems": MAX_PINS,
            "items": {
                "anyOf": [
                    {"type": "string", "description": "`ID:position`"},
                    {
                        "type": "object",
                        "properties": {
                            "id": {"type": ["string", "integer"]},
                            "item_id": {"type": ["string", "integer"], "description": "another name of `id`"},
                            "position": {"type": "integer", "minimum": 1, "maximum": MAX_SHOWN},
                        },
                        "required": ["id", "position"],
                        "additionalProperties": False,
                    },
                ]
            },
        },
        {"type": "null"},
    ],
    "description": "items that stand at places of their own, from 1 over all pages: `ID:1,ID:5`, in a body also a list"
    f' of `{{"id": …, "position": …}}`. At most {MAX_PINS}. What may not be shown, as the filter or its stock says, is'
    " passed over",
}


class PinBody(RequestModel):
    """An item and its place."""

    id: Annotated[Identifier, Field(json_schema_extra=other_names("item_id"))]
    position: Annotated[WholeNumber, Field(ge=1, le=MAX_SHOWN)]


def read_pins(value: object) -> object:
    """Pins from text, a list of such or of objects. Raises PydanticCustomError."""
    given = [value] if isinstance(value, str) else value
    if not isinstance(given, list):
        return value
    pins: list[object] = []
    for one in given:
        pins += _pins_of(one) if isinstance(one, str) else [one]
        if len(pins) > MAX_PINS:
            text = "has over {limit} pins: pin fewer items"
            raise PydanticCustomError("too_many_pins", text, {"limit": MAX_PINS})
    return pins


def check_pins(pins: Sequence[PinBody] | None) -> Sequence[PinBody] | None:
    """Raises PydanticCustomError where an item or a place comes twice."""
    for name in ("id", "position"):
        values = [getattr(pin, name) for pin in pins or ()]
        if (twice := next((value for place, value in enumerate(values) if value in values[:place]), None)) is not None:
            text = "has the {name} {twice} twice: each item has one place, and each place one item"
            raise PydanticCustomError("pinned_twice", text, {"name": name, "twice": str(twice)})
    return pins


def read_hidden(value: object, *, in_url: bool) -> object:
    """Ids with commas in between, as a URL has them, or a list of ids."""
    if isinstance(value, str):
        value = [value]
    elif not in_url:
        return value
    if not isinstance(value, list):
        return value
    return [part.strip() for text in value if isinstance(text, str) for part in text.split(",") if part.strip()]


def _pins_of(text: str) -> Iterator[dict[str, str]]:
    """A comma that does not follow a place belongs to an id. Raises PydanticCustomError."""
    if len(text) > MAX_LENGTH:
        raise PydanticCustomError("too_long", "is over {limit} characters", {"limit": MAX_LENGTH})
    begun: list[str] = []
    for part in text.split(","):
        before, _, position = part.rpartition(":")
        place = position.strip()
        if ":" in part and place.isascii() and place.isdecimal():
            yield {"id": ",".join([*begun, before]).strip(), "position": place}
            begun = []
        elif part.strip() or begun:
            begun.append(part)
    if begun:
        text = "has no place behind {id}: write ID:position, as in ID:1,ID:5"
        raise PydanticCustomError("no_position", text, {"id": repr(",".join(begun).strip()[:100])})
