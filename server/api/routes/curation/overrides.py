"""Overrides: what a shop does to the answers of certain queries."""

import asyncio
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

from fastapi import APIRouter, Request, Response

from catalog.data.items import Items
from catalog.errors import FilterError
from catalog.filters import parse
from server.api.bulk.body import body_of_lines
from server.api.bulk.entries import MAX_ENTRY_LINES, EntryImporter
from server.api.bulk.response import EarlyResponse
from server.api.dependencies import BatchRunnerDep, DeploymentsDep, OverrideSyncDep, RequestIdDep, require
from server.api.schemas.bulk import ImportLineBody
from server.api.schemas.curation.listing import ListParameters, page_of
from server.api.schemas.curation.overrides import (
    OverrideBody,
    OverrideDeletedBody,
    OverrideParameters,
    OverridesBody,
    OverrideWrittenBody,
    shown_override,
    texts_of_override,
)
from server.api.schemas.json_text import OVERRIDES
from server.api.schemas.requests import body_of, conform, no_parameters, query_of, read_model, read_query
from server.api.schemas.responses import json_response, problems
from server.api.schemas.types import Identifier
from server.core import errors
from server.core.errors import Problem
from server.retrieval.live_catalog import Searcher
from server.serving.sync.shared_sync import TooMany
from server.storage.overrides import Override

__all__ = ["router"]

LINE: dict[str, Any] = {"type": "object", "description": "an override as `PUT /overrides/{id}` takes it, with its `id`"}

router = APIRouter(tags=["items"])
looks = APIRouter(tags=["items"], dependencies=[require("admin")], responses=problems(403, 414, 422, 500))
changes = APIRouter(
    tags=["items"],
    dependencies=[require("admin"), no_parameters(OverrideParameters)],
    responses=problems(403, 414, 422, 500, 503),
)


@looks.get("/overrides", response_model=OverridesBody, openapi_extra=query_of(ListParameters))
async def list_overrides(request: Request, override_sync: OverrideSyncDep) -> Response:
    """The overrides by their ids, in force or not."""
    wanted = read_query(request, ListParameters)
    shown, total, cursor = await asyncio.to_thread(page_of, override_sync.entries, wanted, texts_of_override)
    return json_response({"overrides": [*map(shown_override, shown)], "total": total, "next_cursor": cursor})


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
    except TooMany as error:
        raise _too_many(error) from error
    missing = _missing(new, searcher)
    return json_response({"request_id": request_id, **shown_override(new), "created": created, "missing": missing})


@changes.post(
    "/overrides/import",
    status_code=200,
    response_class=EarlyResponse,
    responses={200: {"model": ImportLineBody}, **problems(400, 413, 415)},
    openapi_extra={"requestBody": body_of_lines(LINE, MAX_ENTRY_LINES)},
)
async def import_overrides(
    request: Request,
    override_sync: OverrideSyncDep,
    deployments: DeploymentsDep,
    runner: BatchRunnerDep,
    request_id: RequestIdDep,
) -> Response:
    """Writes up to 10,000 overrides, a thousand lines at a time, and answers every line in order.

    A line that cannot be taken has its problem, and the others count. What was answered is kept, whatever comes later.
    """
    nothing = errors.invalid_parameter(
        "body", "missing", f"no override came: send 1 to {MAX_ENTRY_LINES:,}, one a line"
    )
    read = partial(_read, items=deployments.router.current.catalog.searcher.items)
    importer = EntryImporter(
        *("overrides", read, override_sync.put_all, _too_many),
        request_id=request_id,
        max_line_bytes=runner.max_line_bytes,
    )
    return await importer.imported(request, OVERRIDES, nothing)


@changes.delete("/overrides/{override_id:id}", response_model=OverrideDeletedBody, responses=problems(404))
async def delete_override(
    override_id: Identifier, override_sync: OverrideSyncDep, request_id: RequestIdDep
) -> Response:
    """Takes an override away, in every server within about a second."""
    if not await override_sync.delete(override_id):
        raise _not_found(override_id)
    return json_response({"request_id": request_id, "id": override_id})


def _read(override_id: str, fields: Mapping[str, Any], *, items: Items) -> Override:
    """Raises Problem."""
    new = conform(fields, OverrideParameters).override(override_id)
    _check_filters(new, items)
    return new


def _too_many(error: TooMany) -> Problem:
    return errors.invalid_parameter("rule", "too_many_overrides", f"there would be {error}: delete some first")


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
