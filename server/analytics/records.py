"""Answers and events as analytics keep them: users are SHA-256 of their ids, and texts are as they are searched.

`place` is where a row stood in its stream in Redis; no two rows of a kind share one.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import pyarrow as pa

from catalog.data.tombstones import digest_of
from catalog.text.normalization import normalized
from server.query.cursor import Page
from server.query.types import Query, QueryResult

__all__ = ["ANSWERS", "EVENTS", "AnsweredQuery", "answered"]

MAX_QUERY_LENGTH = 200
"""Characters of a query that are kept."""

ANSWERS = pa.schema(
    {
        "place": pa.string(),
        "at": pa.int64(),  # Unix ms
        "request_id": pa.string(),
        "thread": pa.string(),  # request id of the first page
        "kind": pa.string(),
        "user": pa.string(),  # SHA-256, or null
        "query": pa.string(),
        "model": pa.string(),
        "items": pa.list_(pa.string()),  # in their order
        "first": pa.int64(),  # position of the first of them, 1 on the first page
        "fit": pa.string(),
        "degraded": pa.bool_(),
    }
)
EVENTS = pa.schema(
    {
        "place": pa.string(),
        "at": pa.int64(),
        "recorded_at": pa.int64(),
        "user": pa.string(),
        "event_id": pa.string(),
        "item": pa.string(),
        "type": pa.string(),
        "request_id": pa.string(),
        "value": pa.float64(),
    }
)


@dataclass(frozen=True, slots=True)
class AnsweredQuery:
    """A row of ANSWERS but for its place: the columns are the same."""

    at: int
    request_id: str
    thread: str
    kind: str
    user: str | None
    query: str | None
    model: str
    items: tuple[str, ...]
    first: int
    fit: str | None
    degraded: bool

    def row(self) -> dict[str, Any]:
        return asdict(self)


def answered(query: Query, result: QueryResult, page: Page, at: int) -> AnsweredQuery:
    """page: that which the items are. at: Unix ms."""
    user = query.user or query.session
    text = None if query.text is None else " ".join(normalized(query.text[:MAX_QUERY_LENGTH]).split())
    return AnsweredQuery(
        at=at,
        request_id=query.request_id,
        thread=page.first_request,
        kind=query.kind,
        user=None if user is None else digest_of(user),
        query=text,
        model=result.model,
        items=tuple(item.item_id for item in result.items),
        first=len(page.shown) + 1,
        fit=result.fit,
        degraded=result.degraded,
    )
