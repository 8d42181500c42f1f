"""Shelves that no model fills, so that they are there without an engine too; and items like a basket, by the model."""

from dataclasses import asdict

from fastapi import APIRouter, Request, Response

from server.api.dependencies import AdmissionDep, RequestIdDep, ServiceDep, SuggestorDep, require
from server.api.routes.answers.search import WITH_BODY, WITH_URL, execute
from server.api.schemas.items import shown
from server.api.schemas.queries.answers import AnswerBody
from server.api.schemas.queries.shelves import BasketBody, ShelfParameters
from server.api.schemas.queries.suggest import SuggestBody, SuggestParameters
from server.api.schemas.requests import body_of, no_parameters, query_of, read_model, read_query
from server.api.schemas.responses import json_response, problems
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


@router.get("/suggest", response_model=SuggestBody, responses=WITH_URL, openapi_extra=query_of(SuggestParameters))
async def suggest(
    request: Request, suggestor: SuggestorDep, admission: AdmissionDep, request_id: RequestIdDep
) -> Response:
    """What somebody may want who has begun to type: queries of many people, categories and brands, and items. It asks
    no engine. A key with a fixed `filter_by` is suggested no queries."""
    wanted = read_query(request, SuggestParameters)
    made = await suggestor.suggest(wanted.q, wanted.k, wanted.kinds, wanted.filter, admission.filter_by)
    return json_response(
        {
            "request_id": request_id,
            "model": made.model,
            "catalog_version": made.catalog_version,
            "queries": [asdict(query) for query in made.queries],
            "categories": [asdict(value) for value in made.values],
            "items": [
                shown(dict(record), {"start": item.start, "end": item.end})
                for item, record in zip(made.items, made.records, strict=True)
            ],
        }
    )


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
