"""Many items in one request: what a shop's own systems send every night, and take away."""

import asyncio
from typing import Any

from fastapi import APIRouter, Request, Response

from catalog.filters import parse
from server.api.bulk.body import body_of_lines
from server.api.bulk.exporter import exported
from server.api.bulk.importer import MAX_IMPORT_LINES, Importer
from server.api.bulk.response import EarlyResponse, LineResponse
from server.api.dependencies import AdmissionDep, BatchRunnerDep, CatalogSyncDep, DeploymentsDep, RequestIdDep, require
from server.api.schemas.bulk import ExportParameters, ImportLineBody, ImportParameters
from server.api.schemas.items import ItemBody
from server.api.schemas.json_text import ITEMS
from server.api.schemas.requests import query_of, read_query
from server.api.schemas.responses import problems
from server.core import errors
from server.core.errors import Problem
from server.query.plan import wanted_columns

__all__ = ["router"]

ITEM: dict[str, Any] = {"type": "object", "description": "an item, or the columns of one that change, with its `id`"}

router = APIRouter(tags=["items"])


@router.post(
    "/items/import",
    status_code=200,
    response_class=EarlyResponse,
    dependencies=[require("admin")],
    responses={200: {"model": ImportLineBody}, **problems(400, 403, 413, 414, 415, 422, 500)},
    openapi_extra={"requestBody": body_of_lines(ITEM, MAX_IMPORT_LINES)} | query_of(ImportParameters),
)
async def import_items(
    request: Request, catalog_sync: CatalogSyncDep, runner: BatchRunnerDep, request_id: RequestIdDep
) -> Response:
    """Writes up to 100,000 items, a thousand lines at a time, and answers every line in order while more of them come.

    A line that cannot be taken has its problem, and the others count. What was answered is kept, whatever comes later.
    """
    parameters = read_query(request, ImportParameters)
    request.state.only_checks = parameters.dry_run  # which the audit log need not have
    nothing = Problem(errors.INVALID_CHANGE, f"no item came: send 1 to {MAX_IMPORT_LINES:,}, one a line")
    importer = Importer(
        *(catalog_sync, parameters.action),
        request_id=request_id,
        max_line_bytes=runner.max_line_bytes,
        dry_run=parameters.dry_run,
    )
    return await importer.imported(request, ITEMS, nothing)


@router.get(
    "/items/export",
    status_code=200,
    response_class=LineResponse,
    dependencies=[require("read")],
    responses={200: {"model": ItemBody}, **problems(414, 422, 500)},
    openapi_extra=query_of(ExportParameters),
)
async def export_items(request: Request, deployments: DeploymentsDep, admission: AdmissionDep) -> Response:
    """Every item that the catalog has when the answer begins, available or not, one a line as an import takes it."""
    parameters = read_query(request, ExportParameters)
    searcher = deployments.router.current.catalog.searcher
    table = wanted_columns(parameters.fields, searcher.items)
    part = await searcher.eligible.within(admission.filter_by)
    wanted = None if parameters.filter is None else parse(parameters.filter)
    return LineResponse(exported(table, await asyncio.to_thread(part.rows, wanted)))
