"""How answers are written, and how problems are documented."""

from collections.abc import Iterable
from dataclasses import fields
from http import HTTPStatus
from itertools import islice
from typing import Any

import orjson
from fastapi import Response
from pydantic import BaseModel, ConfigDict

__all__ = ["ProblemBody", "fields_of", "json_response", "page_of_names", "problems"]


class ProblemBody(BaseModel):
    """RFC 9457 `application/problem+json`; some problems have further members."""

    model_config = ConfigDict(extra="allow")

    type: str
    title: str
    status: int
    detail: str
    code: str
    request_id: str


def json_response(body: dict[str, Any] | list[Any], status: int = 200) -> Response:
    return Response(orjson.dumps(body, default=str), status, media_type="application/json")


def fields_of(value: Any) -> dict[str, Any]:
    """The fields of a dataclass as they are; `dataclasses.asdict` copies each value, which takes ten times as long."""
    return {field.name: getattr(value, field.name) for field in fields(value)}


def page_of_names(names: Iterable[str], limit: int, cursor: str | None) -> tuple[list[str], str | None]:
    """The first names after a cursor in their order, and the cursor of the next page, the last of them; None where no
    more come."""
    page = list(islice((name for name in sorted(names) if cursor is None or name > cursor), limit + 1))
    shown = page[:limit]
    return shown, shown[-1] if len(page) > limit else None


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """For `responses=` of a route: the statuses with which it may answer a problem.

    server/api/openapi/document.py adds those that every route with a key has: 401, 403, 429 and 500.
    """
    content = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/ProblemBody"}}}
    return {status: {"description": HTTPStatus(status).phrase, "content": content} for status in statuses}
