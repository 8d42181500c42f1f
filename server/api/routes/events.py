"""POST /events: what users did."""

from typing import Annotated, Any

from fastapi import APIRouter, Header, Request, Response

from server.api.dependencies import AdmissionDep, CorsOriginsDep, EventIngestorDep, RequestIdDep, require
from server.api.schemas.events import MAX_EVENTS, EventBody, ReceiptBody
from server.api.schemas.requests import check_media_type, no_parameters, read_json, schema_of
from server.api.schemas.responses import json_response, problems
from server.api.transport.beacon import BEACON_TYPES, check_page
from server.core import errors
from server.core.errors import Problem

__all__ = ["router"]

EVENT_SCHEMA = schema_of(EventBody)
EVENTS_SCHEMA = {
    "oneOf": [EVENT_SCHEMA, {"type": "array", "items": EVENT_SCHEMA, "minItems": 1, "maxItems": MAX_EVENTS}]
}
AS_TEXT = {
    "type": "string",
    "description": "the same JSON, as `navigator.sendBeacon` sends it; from pages of this origin"
    " and of those of `--cors-origins` only",
}
BODY: dict[str, Any] = {
    "required": True,
    "content": {"application/json": {"schema": EVENTS_SCHEMA}, "text/plain": {"schema": AS_TEXT}},
}

MAX_KEY = 255  # characters
IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=MAX_KEY,
        description="any text that names this request: where it is sent again with the same key, its events without an"
        " `event_id` count once too",
    ),
]

router = APIRouter(
    tags=["events"],
    dependencies=[require("write"), no_parameters(EventBody)],
    responses=problems(400, 413, 415, 422, 500, 503),
)


@router.post("/events", status_code=202, response_model=ReceiptBody, openapi_extra={"requestBody": BODY})
async def post_events(
    request: Request,
    ingestor: EventIngestorDep,
    admission: AdmissionDep,
    origins: CorsOriginsDep,
    request_id: RequestIdDep,
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """Records one event or a list. What is accepted has been written; bad rows of a list come back with reasons."""
    if check_media_type(request, *BEACON_TYPES) in BEACON_TYPES:
        check_page(request, origins)
    rows = await read_json(request, _rows, *BEACON_TYPES)
    receipt = await ingestor.record(rows, within=admission.filter_by, idempotency_key=idempotency_key)
    if not receipt.accepted:
        raise Problem(errors.INVALID_EVENT, receipt.rejected[0].reason, rejected=receipt.rejected)
    body = {"request_id": request_id, "accepted": receipt.accepted, "rejected": receipt.rejected}
    return json_response(body, status=202)


def _rows(body: object) -> list[object]:
    rows = body if isinstance(body, list) else [body]
    if not 1 <= len(rows) <= MAX_EVENTS:
        kind = errors.TOO_MANY_EVENTS if rows else errors.INVALID_EVENT
        raise Problem(kind, f"{len(rows):,} events came: send 1 to {MAX_EVENTS:,} at once")
    return rows
