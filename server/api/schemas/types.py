"""What people and programs may call things: ids and queries, checked before anything else reads them."""

import re
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, WithJsonSchema
from pydantic_core import PydanticCustomError
from starlette.convertors import PathConvertor, register_url_convertor

from catalog.text.prompts import clean_text

__all__ = ["MAX_ID_LENGTH", "MAX_QUERY_LENGTH", "Identifier", "QueryText", "clean_query", "text_of_number"]

MAX_ID_LENGTH = 256
MAX_QUERY_LENGTH = 1_000

# C0 and C1 controls, line separators and lone surrogates.
UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
BROKEN = "\ufffd"  # what broken UTF-8 in a URL decodes to: two different broken ids would become one


class IdConvertor(PathConvertor):
    """`{item_id:id}` of a route: any text, line breaks too, so that `Identifier` says what is wrong with it."""

    regex = r"[\s\S]*"


register_url_convertor("id", IdConvertor())


def text_of_number(value: object) -> object:
    """Ids may be whole numbers, as in files of items and events."""
    return str(value) if type(value) is int else value


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
        raise PydanticCustomError("empty_query", "has no text: type something to search for")
    return query


Identifier = Annotated[
    str,
    BeforeValidator(text_of_number),
    AfterValidator(check_id),
    WithJsonSchema({"type": ["string", "integer"]}),
]
"""An id of a user, an item or an event: 1…256 characters of any script; spaces, slashes and colons are fine. A whole
number is the text of its digits."""

QueryText = Annotated[str, AfterValidator(clean_query)]
"""What somebody typed, in one line and not blank."""
