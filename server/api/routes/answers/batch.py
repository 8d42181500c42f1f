"""POST /batch: many queries, answered line by line."""

import asyncio
from typing import Any

from fastapi import APIRouter, Request, Response

from server.api.bulk.response import NDJSON, LineResponse
from server.api.dependencies import AdmissionDep, BatchRunnerDep, RequestIdDep, require
from server.api.schemas.json_text import split_array, split_lines
from server.api.schemas.queries.batch import (
    MAX_LINES,
    BatchLineBody,
    BatchParameters,
    BrowseLine,
    RecommendLine,
    SearchLine,
    SimilarLine,
)
from server.api.schemas.requests import check_media_type, query_of, read_query, schema_of
from server.api.schemas.responses import problems
from server.core import errors
from server.core.errors import Problem

__all__ = ["router"]

LINE_SCHEMA: dict[str, Any] = {
    "oneOf": [schema_of(line) for line in (SearchLine, RecommendLine, SimilarLine, BrowseLine)],
}
BODY: dict[str, Any] = {
    "required": True,
    "content": {
        NDJSON: {"schema": LINE_SCHEMA},
        "application/json": {
            "schema": {"type": "array", "items": LINE_SCHEMA, "minItems": 1, "maxItems": MAX_LINES},
        },
    },
}

router = APIRouter(tags=["answers"], dependencies=[require("read")], responses=problems(400, 413, 415, 422, 500))


@router.post(
    "/batch",
    status_code=200,
    response_class=LineResponse,
    responses={200: {"model": BatchLineBody}},
    openapi_extra={"requestBody": BODY} | query_of(BatchParameters),
)
async def batch(
    request: Request, runner: BatchRunnerDep, admission: AdmissionDep, request_id: RequestIdDep
) -> Response:
    """Answers every line as soon as it is ready, or in order where `ordered` asks for it; `index` says which it was."""
    parameters = read_query(request, BatchParameters)
    split = split_lines if check_media_type(request, NDJSON) == NDJSON else split_array
    rows = await asyncio.to_thread(split, await request.body(), MAX_LINES, runner.max_line_bytes)
    if not rows:
        raise Problem(errors.INVALID_REQUEST, f"no query came: send 1 to {MAX_LINES:,} at once")
    return LineResponse(
        runner.answers(rows, request_id, admission.pace, within=admission.filter_by, ordered=parameters.ordered)
    )
