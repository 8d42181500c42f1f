"""Search, recommendation, items like one, browsing: GET with parameters in the URL, POST with the same in a body."""

import time

from fastapi import APIRouter, Request, Response

from server.api.dependencies import RequestIdDep, ServiceDep, require
from server.api.schemas.queries.answers import AnswerBody, answer_body
from server.api.schemas.queries.parameters import (
    BrowseParameters,
    RecommendBody,
    RecommendParameters,
    SearchBody,
    SearchParameters,
    SimilarParameters,
)
from server.api.schemas.requests import body_of, no_parameters, query_of, read_model, read_query
from server.api.schemas.responses import json_response, problems
from server.api.schemas.types import Identifier
from server.api.transport.disconnect import cancel_on_disconnect
from server.query.service import Service
from server.query.types import Query

__all__ = ["WITH_BODY", "WITH_URL", "execute", "router"]

router = APIRouter(tags=["answers"], dependencies=[require("read")], responses=problems(422, 500, 503, 504))
WITH_URL, WITH_BODY = problems(414), problems(400, 413, 415)


@router.get("/search", response_model=AnswerBody, responses=WITH_URL, openapi_extra=query_of(SearchParameters))
async def search(request: Request, service: ServiceDep, request_id: RequestIdDep) -> Response:
    """The items that fit what was typed, best first; with `user` or `session`, those that fit them too."""
    parameters = read_query(request, SearchParameters)
    return await execute(request, service, parameters.to_query(request_id))


@router.post(
    "/search",
    response_model=AnswerBody,
    dependencies=[no_parameters(SearchBody)],
    responses=WITH_BODY,
    openapi_extra=body_of(SearchBody),
)
async def post_search(request: Request, service: ServiceDep, request_id: RequestIdDep) -> Response:
    """As GET; `history` may stand for that of a visitor of whom nothing is stored."""
    body = await read_model(request, SearchBody)
    return await execute(request, service, body.to_query(request_id))


@router.get("/recommend", response_model=AnswerBody, responses=WITH_URL, openapi_extra=query_of(RecommendParameters))
async def recommend(request: Request, service: ServiceDep, request_id: RequestIdDep) -> Response:
    """The items that somebody wants next, without those they had, best first."""
    parameters = read_query(request, RecommendParameters)
    return await execute(request, service, parameters.to_query(request_id))


@router.post(
    "/recommend",
    response_model=AnswerBody,
    dependencies=[no_parameters(RecommendBody)],
    responses=WITH_BODY,
    openapi_extra=body_of(RecommendBody),
)
async def post_recommend(request: Request, service: ServiceDep, request_id: RequestIdDep) -> Response:
    """As GET; `history` may stand for that of a visitor of whom nothing is stored."""
    body = await read_model(request, RecommendBody)
    return await execute(request, service, body.to_query(request_id))


@router.get(
    "/items/{item_id:id}/similar",
    response_model=AnswerBody,
    responses=WITH_URL | problems(404),
    openapi_extra=query_of(SimilarParameters),
)
async def similar(request: Request, item_id: Identifier, service: ServiceDep, request_id: RequestIdDep) -> Response:
    """Items like this one, best first: what somebody wants next who had only this one."""
    parameters = read_query(request, SimilarParameters)
    return await execute(request, service, parameters.similar_query(request_id, item_id))


@router.get("/items", response_model=AnswerBody, responses=WITH_URL, openapi_extra=query_of(BrowseParameters))
async def browse(request: Request, service: ServiceDep, request_id: RequestIdDep) -> Response:
    """All items that are available and meet a filter, as on a shelf: in the order of `sort_by`, else the most popular
    first. No model is asked."""
    parameters = read_query(request, BrowseParameters)
    return await execute(request, service, parameters.to_query(request_id))


async def execute(request: Request, service: Service, query: Query) -> Response:
    """Answer a query."""
    started = time.monotonic()
    with cancel_on_disconnect(request):
        within = request.state.admission.filter_by
        result = await service.execute(query, request.state.arrived, within=within)
    request.state.degraded = result.degraded
    return json_response(answer_body(query, result, time.monotonic() - started))
