"""Lists whose length is checked before their elements are looked at."""

from __future__ import annotations

from pydantic import BeforeValidator
from pydantic_core import PydanticKnownError

__all__ = ["MAX_FIELDS", "at_most", "check_length", "split_names"]

MAX_FIELDS = 200


def check_length(length: int, most: int) -> None:
    """Raises PydanticKnownError as a list of so many elements does."""
    if length > most:
        raise PydanticKnownError("too_long", {"field_type": "List", "max_length": most, "actual_length": length})


def at_most(most: int) -> BeforeValidator:
    """Refuses a longer list before its elements are looked at, of which each might be an error of its own."""

    def check(value: object) -> object:
        if isinstance(value, list):
            check_length(len(value), most)
        return value

    return BeforeValidator(check)


def split_names(value: object) -> object:
    """Names with commas in between, as a URL has them, or a list of such."""
    names = [value] if isinstance(value, str) else value
    if not isinstance(names, list):
        return value
    check_length(len(names) + sum(name.count(",") for name in names if isinstance(name, str)), MAX_FIELDS)
    parts = [part for name in names for part in (name.split(",") if isinstance(name, str) else [name])]
    return [part.strip() if isinstance(part, str) else part for part in parts]
