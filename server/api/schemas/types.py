"""What people and programs send: ids, queries and numbers, checked before anything else reads them."""

import re
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, WithJsonSchema
from pydantic_core import PydanticCustomError
from starlette.convertors import PathConvertor, register_url_convertor

from catalog.data.reading.id_text import id_text
from catalog.text.prompts import clean_text

__all__ = [
    "MAX_ID_LENGTH",
    "MAX_QUERY_LENGTH",
    "Identifier",
    "Number",
    "QueryText",
    "WholeNumber",
    "clean_query",
    "whole_number",
]

MAX_ID_LENGTH = 256
MAX_QUERY_LENGTH = 1_000

MAX_WHOLE = 2.0**63
WRITTEN = re.compile(r"([+-]?[0-9]{1,20})(\.[0-9]{0,20}|(?:\.[0-9]{0,20})?[eE][+-]?[0-9]{1,3})?")
# C0 and C1 controls, line separators and lone surrogates.
UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
BROKEN = "\ufffd"  # what broken UTF-8 in a URL decodes to: two different broken ids would become one


class IdConvertor(PathConvertor):
    """`{item_id:id}` of a route: any text, line breaks too, so that `Identifier` says what is wrong with it."""

    regex = r"[\s\S]*"


register_url_convertor("id", IdConvertor())


def read_id(value: object) -> object:
    """Ids may be whole numbers, as in files of items and events. Raises PydanticCustomError for other numbers."""
    text = id_text(value)
    if isinstance(text, bool):
        raise PydanticCustomError("id_not_text", "is true or false: give an id, a text or a whole number")
    if isinstance(text, float) and text.is_integer():
        raise PydanticCustomError(
            "id_not_exact", "is too large for a number of JSON to keep all digits: put it in quotes"
        )
    if isinstance(text, float):
        raise PydanticCustomError("id_not_whole", "is not a whole number: give an id as text or a whole number")
    return text


def whole_number(value: object) -> object:
    """Whole numbers may be written as floats, `10.0` and `1e1`, in JSON and, as text, in URLs.

    Raises PydanticCustomError for a number that is not whole, text that is none, and true or false.
    """
    if isinstance(value, str) and (number := WRITTEN.fullmatch(value.strip())):
        value = int(number[1]) if number[2] is None else float(number[0])
    if isinstance(value, float) and value.is_integer() and abs(value) < MAX_WHOLE:
        return int(value)
    if isinstance(value, float) and value.is_integer():
        raise PydanticCustomError("too_large", "is too large for a whole number")
    if isinstance(value, bool | float | str):
        raise PydanticCustomError("not_a_whole_number", "is not a whole number: write it as in 10")
    return value


def number(value: object) -> object:
    """Raises PydanticCustomError for true or false, which pydantic would read as 1 or 0."""
    if isinstance(value, bool):
        raise PydanticCustomError("not_a_number", "is true or false: give a number")
    return value


def check_id(text: str) -> str:
    if not text or text.isspace():
        raise PydanticCustomError("empty_id", "is empty: give an id")
    if len(text) > MAX_ID_LENGTH:
        raise PydanticCustomError("id_too_long", "is over {limit} characters", {"limit": MAX_ID_LENGTH})
    if UNPRINTABLE.search(text) or BROKEN in text:
        raise PydanticCustomError("unprintable_id", "has control characters or is not valid UTF-8")
    return text


def clean_query(text: str) -> str:
    """The text in one line, without control characters and lone surrogates; case and spelling are kept."""
    if len(text) > MAX_QUERY_LENGTH:
        raise PydanticCustomError("query_too_long", "is over {limit} characters", {"limit": MAX_QUERY_LENGTH})
    query = " ".join(UNPRINTABLE.sub(" ", text).split())
    if not clean_text(query):
        raise PydanticCustomError("empty_query", "has no text: type something to search for, or * for everything")
    return query


Identifier = Annotated[
    str,
    BeforeValidator(read_id),
    AfterValidator(check_id),
    WithJsonSchema({"type": ["string", "integer"]}),
]
"""An id of a user, an item or an event: 1…256 characters of any script; spaces, slashes and colons are fine. A whole
number is the text of its digits."""

WholeNumber = Annotated[int, BeforeValidator(whole_number)]
"""An integer, which may be written as a float."""

Number = Annotated[float, BeforeValidator(number)]

QueryText = Annotated[str, AfterValidator(clean_query)]
"""What somebody typed, in one line and not blank."""
