"""Shelves that no model fills, so that they are there without an engine too; and items like a basket, by the model."""

from fastapi import APIRouter, Request, Response

from server.api.dependencies import RequestIdDep, ServiceDep, require
from server.api.routes.search import WITH_BODY, WITH_URL, execute
from server.api.schemas.queries.answers import AnswerBody
from server.api.schemas.queries.shelves import BasketBody, ShelfParameters
from server.api.schemas.requests import body_of, no_parameters, query_of, read_model, read_query
from server.api.schemas.responses import problems
from server.api.schemas.types import Identifier

__all__ = ["router"]

router = APIRouter(tags=["answers"], dependencies=[require("read")], responses=problems(422, 500, 503, 504))


@router.get("/popular", response_model=AnswerBody, responses=WITH_URL, openapi_extra=query_of(ShelfParameters))
async def popular(request: Request, service: ServiceDep, request_id: RequestIdDep) -> Response:
    """What is chosen most, by all events that were ever counted."""
    parameters = read_query(request, ShelfParameters)
    return await execute(request, service, parameters.shelf_query(request_id, "popular"))


@router.get("/trending", response_model=AnswerBody, responses=WITH_URL, openapi_extra=query_of(ShelfParameters))
async def trending(request: Request, service: ServiceDep, request_id: RequestIdDep) -> Response:
    """What is chosen more than usual lately, and behind it what is popular. An event of a day ago counts half as much
    as one of now; where nothing trends, `fallback` says `popular`."""
    parameters = read_query(request, ShelfParameters)
    return await execute(request, service, parameters.shelf_query(request_id, "trending"))


@router.get("/latest", response_model=AnswerBody, responses=WITH_URL, openapi_extra=query_of(ShelfParameters))
async def latest(request: Request, service: ServiceDep, request_id: RequestIdDep) -> Response:
    """The items that were written last, the newest first, and behind them those that came with the model, by
    popularity. Where a column says how new an item is, sort by that: `sort_by=released_at:desc`."""
    parameters = read_query(request, ShelfParameters)
    return await execute(request, service, parameters.shelf_query(request_id, "latest"))


@router.get(
    "/items/{item_id:id}/bought-together",
    response_model=AnswerBody,
    responses=WITH_URL | problems(404),
    openapi_extra=query_of(ShelfParameters),
)
async def bought_together(
    request: Request, item_id: Identifier, service: ServiceDep, request_id: RequestIdDep
) -> Response:
    """What people who took this item took too, and nothing else: fewer than `k` items where there are no more."""
    parameters = read_query(request, ShelfParameters)
    return await execute(request, service, parameters.shelf_query(request_id, "bought_together", item_id))


@router.post(
    "/similar",
    response_model=AnswerBody,
    dependencies=[no_parameters(BasketBody)],
    responses=WITH_BODY | problems(404),
    openapi_extra=body_of(BasketBody),
)
async def similar_to_basket(request: Request, service: ServiceDep, request_id: RequestIdDep) -> Response:
    """Items like those of a basket: what somebody wants next who had only these. For those of a user there is
    /recommend."""
    body = await read_model(request, BasketBody)
    return await execute(request, service, body.to_query(request_id))
