"""The JSON body of a request."""

import orjson
from fastapi import Request

from server import errors
from server.errors import Problem

__all__ = ["read_json"]


async def read_json(request: Request) -> object:
    """The body. Raises Problem where it is no JSON."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        detail = f"the Content-Type is {kind[:100] or 'missing'}: send application/json"
        raise Problem(errors.UNSUPPORTED_MEDIA_TYPE, detail)
    try:
        value: object = orjson.loads(await request.body())
    except orjson.JSONDecodeError as error:
        raise Problem(errors.MALFORMED_JSON, f"the body is not valid JSON: {error}") from error
    return value
