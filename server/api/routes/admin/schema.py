"""The schema of the catalog: its columns, and further ones that count at once, without training."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from fastapi import APIRouter, Request, Response

from catalog.data.changes import AddedColumns, Change
from catalog.data.columns.added import TYPES_BY_NAME, name_of_type
from catalog.filters.columns import Holding, holding_of
from catalog.snapshot import Snapshot
from server.api.dependencies import AdmissionDep, CatalogSyncDep, DeploymentsDep, RequestIdDep, require
from server.api.schemas.admin.schema import MAX_ADDED, ColumnChange, SchemaBody, SchemaChangedBody, SchemaParameters
from server.api.schemas.requests import body_of, no_parameters, read_model
from server.api.schemas.responses import json_response, problems
from server.core import errors
from server.core.errors import Problem
from server.retrieval.eligibility import EligibleItems
from server.serving.deployment import Deployment

__all__ = ["router"]

NEVER_NULL = frozenset({"item_id", "categories", "available"})

router = APIRouter(tags=["items"])


@router.get(
    "/schema",
    response_model=SchemaBody,
    dependencies=[require("read"), no_parameters()],
    responses=problems(414, 422, 500),
)
async def get_schema(deployments: DeploymentsDep, admission: AdmissionDep) -> Response:
    """The columns of the catalog that is served, and how many items have a value in each."""
    return json_response(await _described(deployments.router.current, admission.filter_by))


@router.patch(
    "/schema",
    response_model=SchemaChangedBody,
    dependencies=[require("admin"), no_parameters(SchemaParameters)],
    responses=problems(400, 403, 409, 413, 414, 415, 422, 500, 503),
    openapi_extra=body_of(SchemaParameters),
)
async def patch_schema(
    request: Request, deployments: DeploymentsDep, catalog_sync: CatalogSyncDep, request_id: RequestIdDep
) -> Response:
    """Adds columns, which are null in every item and can be written, filtered by, counted and sorted by at once, or
    drops such columns again. The model learns of them when it is trained next.

    A column that is there with this type is left as it is. It holds in every server on the same Redis, after a restart
    and in the next model.
    """
    wanted = (await read_model(request, SchemaParameters)).columns
    before: Mapping[str, pa.DataType] = {}
    after: Mapping[str, pa.DataType] = {}

    def change(snapshot: Snapshot) -> Sequence[Change]:
        nonlocal before, after
        before, after = snapshot.added_columns, _changed(snapshot, wanted)
        return [AddedColumns(after)]

    await catalog_sync.change_newest(change)
    described = await _described(deployments.router.current, None)
    names = {"added_columns": [*after.keys() - before.keys()], "dropped_columns": [*before.keys() - after.keys()]}
    return json_response({"request_id": request_id, **{key: sorted(of) for key, of in names.items()}, **described})


def _changed(snapshot: Snapshot, wanted: Sequence[ColumnChange]) -> Mapping[str, pa.DataType]:
    """The further columns after a change. Raises Problem where it cannot be."""
    table, added = snapshot.items.table, dict(snapshot.added_columns)
    faults = []
    for place, column in enumerate(wanted):
        fault = _fault_of_drop(snapshot, column.name) if column.drop else _fault_of_addition(table, column)
        if fault is not None:
            faults.append({"field": f"columns.{place}.{fault[0]}", "code": fault[1], "message": fault[2]})
        elif column.drop:
            del added[column.name]
        elif column.name not in table.column_names and column.type is not None:
            added[column.name] = TYPES_BY_NAME[column.type]
    if len(added) > MAX_ADDED:
        message = f"there would be {len(added)} columns beside the published ones, at most {MAX_ADDED}: train with them"
        faults.append({"field": "columns", "code": "too_many_columns", "message": message})
    if faults:
        raise Problem(errors.COLUMN_CONFLICT, errors.in_words(faults), errors=faults[: errors.MAX_ERRORS])
    return added


def _fault_of_addition(table: pa.Table, column: ColumnChange) -> tuple[str, str, str] | None:
    if column.name not in table.column_names:
        return None
    kind = name_of_type(table.schema.field(column.name).type)
    if kind == column.type:
        return None
    return "type", "other_type", f"the column {column.name!r} is {kind} already: leave it so, or take another name"


def _fault_of_drop(snapshot: Snapshot, name: str) -> tuple[str, str, str] | None:
    table = snapshot.items.table
    if name in snapshot.published_columns:
        text = f"the model was trained with {name!r}: leave it out of the items that the next one is trained with"
        return "name", "published_column", text
    if name not in snapshot.added_columns:
        return "name", "no_such_column", f"no column is named {name!r}: GET /schema lists them"
    filled = int(pc.sum(_filled(table[name]).filter(pa.array(snapshot.present_N))).as_py() or 0)
    if filled:
        text = f"{filled:,} items have a value in {name!r}: set it to null in them first, as by an import of updates"
        return "name", "column_not_empty", text
    return None


async def _described(deployment: Deployment, filter_by: str | None) -> dict[str, Any]:
    searcher = deployment.catalog.searcher
    part = await searcher.eligible.within(filter_by)
    columns, items = await asyncio.to_thread(_columns_of, searcher.snapshot, part)
    return {
        "columns": columns,
        "items": items,
        "model": deployment.version,
        "catalog_version": searcher.snapshot.number,
    }


def _columns_of(snapshot: Snapshot, part: EligibleItems) -> tuple[list[dict[str, Any]], int]:
    """Every column, and how many items of a part there are."""
    rows = pa.array(part.rows(None))
    return [_column_of(snapshot, field, rows) for field in snapshot.items.table.schema], len(rows)


def _column_of(snapshot: Snapshot, field: pa.Field, rows: pa.Array) -> dict[str, Any]:
    holding = holding_of(field.type)
    return {
        "name": "id" if field.name == "item_id" else field.name,
        "type": name_of_type(field.type),
        "nullable": field.name not in NEVER_NULL,
        "filterable": holding is not None,
        "facetable": holding is not None,
        "sortable": holding is not None and holding is not Holding.LISTS,
        "added": field.name not in snapshot.published_columns,
        "values": int(pc.sum(_filled(snapshot.items.table[field.name]).take(rows)).as_py() or 0),
    }


def _filled(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Which rows have a value; a list one that is not empty."""
    if pa.types.is_list(column.type):
        return pc.greater(pc.fill_null(pc.list_value_length(column), 0), 0)
    return pc.is_valid(column)
