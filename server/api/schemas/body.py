"""The JSON body of a request."""

from collections.abc import Iterable, Sequence
from typing import Any, TypeVar

import orjson
from fastapi import Request
from pydantic import BaseModel, ValidationError

from server.core import errors
from server.core.errors import Problem, describe, in_words

__all__ = ["body_of", "conform", "media_type_of", "parse_json", "read_json", "read_model"]

Body = TypeVar("Body", bound=BaseModel)

MAX_DEPTH = 32  # lists and objects in each other


def media_type_of(request: Request) -> str:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


async def read_json(request: Request) -> object:
    """The body. Raises Problem where it is no JSON."""
    kind = media_type_of(request)
    if kind != "application/json":
        detail = f"the Content-Type is {kind[:100] or 'missing'}: send application/json"
        raise Problem(errors.UNSUPPORTED_MEDIA_TYPE, detail)
    return parse_json(await request.body(), "the body")


def parse_json(text: bytes, what: str) -> object:
    """The value. Raises Problem where `what` is no JSON, or JSON that no later reader should be handed."""
    try:
        value: object = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise Problem(errors.MALFORMED_JSON, f"{what} is not valid JSON: {error}") from error
    if _is_deep(value):
        raise Problem(errors.MALFORMED_JSON, f"{what} has more than {MAX_DEPTH} lists and objects in each other")
    return value


def _is_deep(value: object) -> bool:
    """Level by level: what calls itself for every level is what deep values break."""
    level: Sequence[object] = [value]
    for _ in range(MAX_DEPTH):
        inner = [part for outer in level for part in _parts(outer) if isinstance(part, dict | list)]
        if not inner:
            return False
        level = inner
    return True


def _parts(value: object) -> Iterable[object]:
    return value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()


async def read_model(request: Request, model: type[Body]) -> Body:
    """The body. Raises Problem where it is no JSON, or not what the model describes.

    FastAPI's own bodies are read before a caller's key is looked at, and answer other problems.
    """
    return conform(await read_json(request), model)


def conform(value: object, model: type[Body]) -> Body:
    """Raises Problem where a value is not what the model describes."""
    try:
        return model.model_validate(value)
    except ValidationError as error:
        faults = describe(error.errors())
        raise Problem(errors.INVALID_REQUEST, in_words(faults), errors=faults) from error


def body_of(model: type[BaseModel]) -> dict[str, Any]:
    """For `openapi_extra` of a route that reads such a body."""
    content = {"application/json": {"schema": model.model_json_schema()}}
    return {"requestBody": {"required": True, "content": content}}
