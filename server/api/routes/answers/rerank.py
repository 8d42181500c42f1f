"""POST /v1/rerank: documents put in order, as clients of Cohere's, Jina's and vLLM's endpoint ask for it."""

import time

from fastapi import APIRouter, Request, Response

from server.api.dependencies import AdmissionDep, RequestIdDep, ServiceDep, require
from server.api.schemas.queries.rerank import RerankAnswerBody, RerankBody, rerank_body
from server.api.schemas.requests import body_of, no_parameters, read_model
from server.api.schemas.responses import json_response, problems
from server.api.transport.disconnect import cancel_on_disconnect

__all__ = ["router"]

router = APIRouter(
    tags=["answers"], dependencies=[require("read")], responses=problems(400, 413, 415, 422, 500, 503, 504)
)


@router.post(
    "/v1/rerank",
    response_model=RerankAnswerBody,
    dependencies=[no_parameters(RerankBody)],
    openapi_extra=body_of(RerankBody),
)
async def rerank(request: Request, service: ServiceDep, admission: AdmissionDep, request_id: RequestIdDep) -> Response:
    """The documents that are sent, in the order in which they fit a query, for people and programs that search
    elsewhere. Every document has its own score, which no other document changes. A key with a fixed `filter_by` knows
    no other items: their ids are unknown, and their titles are texts."""
    asked = await read_model(request, RerankBody)
    started = time.monotonic()
    with cancel_on_disconnect(request):
        result = await service.rerank(
            asked.to_query(request_id), asked.to_documents(), request.state.arrived, within=admission.filter_by
        )
    request.state.degraded = result.degraded
    return json_response(rerank_body(request_id, asked, result, time.monotonic() - started))
