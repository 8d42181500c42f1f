"""Overrides: what a shop does to the answers of certain queries."""

from collections.abc import Iterator

from fastapi import APIRouter, Request, Response

from catalog.data.items import Items
from catalog.errors import FilterError
from catalog.filters import parse
from server.api.dependencies import DeploymentsDep, OverrideSyncDep, RequestIdDep, require
from server.api.schemas.overrides import (
    OverrideBody,
    OverrideDeletedBody,
    OverrideParameters,
    OverridesBody,
    OverridesListParameters,
    OverrideWrittenBody,
    shown_override,
)
from server.api.schemas.requests import body_of, no_parameters, query_of, read_model, read_query
from server.api.schemas.responses import json_response, page_of_names, problems
from server.api.schemas.types import Identifier
from server.core import errors
from server.core.errors import Problem
from server.retrieval.live_catalog import Searcher
from server.serving.sync.override_sync import TooManyOverrides
from server.storage.overrides import Override

__all__ = ["router"]

router = APIRouter(tags=["items"])
looks = APIRouter(tags=["items"], dependencies=[require("admin")], responses=problems(403, 414, 422, 500))
changes = APIRouter(
    tags=["items"],
    dependencies=[require("admin"), no_parameters(OverrideParameters)],
    responses=problems(403, 414, 422, 500, 503),
)


@looks.get("/overrides", response_model=OverridesBody, openapi_extra=query_of(OverridesListParameters))
async def list_overrides(request: Request, override_sync: OverrideSyncDep) -> Response:
    """The overrides by their ids, in force or not."""
    wanted, overrides = read_query(request, OverridesListParameters), override_sync.entries
    shown, next_cursor = page_of_names(overrides, wanted.limit, wanted.cursor)
    listed = [shown_override(overrides[name]) for name in shown]
    return json_response({"overrides": listed, "total": len(overrides), "next_cursor": next_cursor})


@looks.get(
    "/overrides/{override_id:id}",
    response_model=OverrideBody,
    dependencies=[no_parameters()],
    responses=problems(404),
)
async def get_override(override_id: Identifier, override_sync: OverrideSyncDep) -> Response:
    """One override."""
    if (found := override_sync.entries.get(override_id)) is None:
        raise _not_found(override_id)
    return json_response(shown_override(found))


@changes.put(
    "/overrides/{override_id:id}",
    response_model=OverrideWrittenBody,
    openapi_extra=body_of(OverrideParameters),
    responses=problems(400, 413, 415),
)
async def put_override(
    override_id: Identifier,
    request: Request,
    override_sync: OverrideSyncDep,
    deployments: DeploymentsDep,
    request_id: RequestIdDep,
) -> Response:
    """Writes an override, new or in place of the one there was: what it pins, leaves out, filters and boosts in the
    answers to queries that meet its rule.

    It holds in every server on the same Redis within about a second, and after a restart or a new model.
    """
    given = await read_model(request, OverrideParameters)
    new, searcher = given.override(override_id), deployments.router.current.catalog.searcher
    _check_filters(new, searcher.items)
    try:
        created = await override_sync.put(new)
    except TooManyOverrides as error:
        message = f"there would be {error}: delete some first"
        raise errors.invalid_parameter("rule", "too_many_overrides", message) from error
    missing = _missing(new, searcher)
    return json_response({"request_id": request_id, **shown_override(new), "created": created, "missing": missing})


@changes.delete("/overrides/{override_id:id}", response_model=OverrideDeletedBody, responses=problems(404))
async def delete_override(
    override_id: Identifier, override_sync: OverrideSyncDep, request_id: RequestIdDep
) -> Response:
    """Takes an override away, in every server within about a second."""
    if not await override_sync.delete(override_id):
        raise _not_found(override_id)
    return json_response({"request_id": request_id, "id": override_id})


def _check_filters(one: Override, items: Items) -> None:
    """Raises Problem for filters that cannot be read or do not fit the items."""
    faults = []
    for field, expression in _filters(one):
        try:
            parse(expression).check(items)
        except FilterError as error:
            faults.append({"field": field, "code": "invalid_filter", "message": str(error)})
    if faults:
        raise errors.invalid_request(faults)


def _filters(one: Override) -> Iterator[tuple[str, str]]:
    """The filters of an override, each with the field that it stands in."""
    if one.rule.filter_by is not None:
        yield "rule.filter_by", one.rule.filter_by
    if one.filter_by is not None:
        yield "filter_by", one.filter_by
    for place, boost in enumerate(one.boost):
        yield f"boost.{place}.condition", boost.condition


def _missing(one: Override, searcher: Searcher) -> list[str]:
    """The ids that no item has now."""
    rows = {item_id: searcher.items.row_of(item_id) for item_id in (*(pin.id for pin in one.includes), *one.excludes)}
    return [item_id for item_id, row in rows.items() if row is None or not searcher.snapshot.present_N[row]]


def _not_found(override_id: str) -> Problem:
    detail = f"no override is named {override_id[:256]!r}: GET /overrides lists them"
    return Problem(errors.OVERRIDE_NOT_FOUND, detail)


router.include_router(looks)
router.include_router(changes)
