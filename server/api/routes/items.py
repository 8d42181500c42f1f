"""Items: one to look at, and changes to the catalog while it serves."""

from functools import partial
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Path, Request, Response

from catalog.data.changes import Change, Delete, Outcome, Upsert, shortened
from catalog.data.reading.id_text import id_text
from catalog.snapshot import Snapshot
from server.api.dependencies import AdmissionDep, CatalogSyncDep, DeploymentsDep, RequestIdDep, require
from server.api.schemas.items import MAX_ITEMS, ChangeBody, ItemBody, check_new_id, item_record, shown
from server.api.schemas.requests import no_parameters, read_json
from server.api.schemas.responses import json_response, problems
from server.api.schemas.types import Identifier
from server.core import errors
from server.core.errors import Problem

__all__ = ["router"]

ITEM_SCHEMA: dict[str, Any] = {
    "type": "object",
    "description": "the whole record: what it leaves out is null; `available` is true unless it says otherwise",
}
PATCH_SCHEMA: dict[str, Any] = {
    "type": "object",
    "description": "the columns to change; one that is null is cleared (not `available`), and what is left out stays as"
    " it is",
}
MERGE_PATCH = "application/merge-patch+json"
ITEMS_SCHEMA = {"type": "array", "items": ITEM_SCHEMA, "minItems": 1, "maxItems": MAX_ITEMS}

router = APIRouter(tags=["items"])
changes = APIRouter(
    tags=["items"],
    dependencies=[require("admin"), no_parameters(ItemBody)],
    responses=problems(400, 403, 413, 414, 415, 422, 500, 503),
)


def body_of(schema: dict[str, Any], *media_types: str) -> dict[str, Any]:
    content = {kind: {"schema": schema} for kind in (*media_types, "application/json")}
    return {"requestBody": {"required": True, "content": content}}


@router.get(
    "/items/{item_id:id}",
    response_model=ItemBody,
    dependencies=[require("read"), no_parameters()],
    responses=problems(404, 414, 422, 500),
)
async def get_item(
    item_id: Annotated[str, Path(description="slashes are fine")], deployments: DeploymentsDep, admission: AdmissionDep
) -> Response:
    """Every field of an item, whether or not it is available."""
    searcher = deployments.router.current.catalog.searcher
    part, row = await searcher.eligible.within(admission.filter_by), _row_of(item_id, searcher.snapshot)
    if not part.has(row):
        raise _no_item(item_id)
    return json_response(shown(searcher.items.record(row)))


@changes.post("/items", response_model=ChangeBody, openapi_extra=body_of(ITEMS_SCHEMA))
async def post_items(request: Request, catalog_sync: CatalogSyncDep, request_id: RequestIdDep) -> Response:
    """Writes whole items, all or, if one is not acceptable, none. New ones can be found when this has answered."""
    upserts = await read_json(request, _upserts)
    return _answer(*await catalog_sync.change(upserts), request_id)


@changes.put("/items/{item_id:id}", response_model=ChangeBody, openapi_extra=body_of(ITEM_SCHEMA))
async def put_item(
    item_id: Identifier, request: Request, catalog_sync: CatalogSyncDep, request_id: RequestIdDep
) -> Response:
    """Writes a whole item, new or in place of the one there was."""
    record = await read_json(request, partial(item_record, what="the whole item"))
    _refuse_other_id(record, item_id)
    return _answer(*await catalog_sync.change([Upsert(record | {"item_id": item_id})]), request_id)


@changes.patch(
    "/items/{item_id:id}",
    response_model=ChangeBody,
    openapi_extra=body_of(PATCH_SCHEMA, MERGE_PATCH),
    responses=problems(404),
)
async def patch_item(
    item_id: Identifier, request: Request, catalog_sync: CatalogSyncDep, request_id: RequestIdDep
) -> Response:
    """Changes only what the body names, and sets to null what it gives as null: a JSON merge patch (RFC 7396). What
    several send at once is applied one after the other, each to what the one before left, on whatever server."""
    patch = await read_json(request, partial(item_record, what="the columns to change"), MERGE_PATCH)
    _refuse_other_id(patch, item_id)
    if patch.get("available", True) is None:
        raise Problem(errors.INVALID_CHANGE, "available: is null: give true or false, as an item is one or the other")

    def patched(snapshot: Snapshot) -> list[Change]:
        record = snapshot.items.record(_row_of(item_id, snapshot))
        return [Upsert(orjson.loads(orjson.dumps(record)) | patch)]

    return _answer(*await catalog_sync.change_newest(patched), request_id)


@changes.delete("/items/{item_id:id}", response_model=ChangeBody, responses=problems(404))
async def delete_item(item_id: Identifier, catalog_sync: CatalogSyncDep, request_id: RequestIdDep) -> Response:
    """Takes an item out of all answers from the next request on. Histories keep it."""

    def deletion(snapshot: Snapshot) -> list[Change]:
        _row_of(item_id, snapshot)
        return [Delete(item_id)]

    return _answer(*await catalog_sync.change_newest(deletion), request_id)


def _row_of(item_id: str, snapshot: Snapshot) -> int:
    """The row of an item that is there. Raises Problem where none is."""
    row = snapshot.items.row_of(item_id)
    if row is None or not snapshot.present_N[row]:
        raise _no_item(item_id)
    return row


def _no_item(item_id: str) -> Problem:
    return Problem(errors.ITEM_NOT_FOUND, f"no item is named {item_id[:256]!r}: ids are case-sensitive")


def _upserts(rows: object) -> list[Change]:
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise Problem(errors.INVALID_CHANGE, "the body is a JSON list of items, each an object with its id")
    if not 1 <= len(rows) <= MAX_ITEMS:
        kind = errors.TOO_MANY_ITEMS if rows else errors.INVALID_CHANGE
        raise Problem(kind, f"{len(rows):,} items came: send 1 to {MAX_ITEMS:,} at once")
    return [Upsert(_named(item_record(row, what="the whole item"), place)) for place, row in enumerate(rows, start=1)]


def _named(record: dict[str, Any], place: int) -> dict[str, Any]:
    """With an id by which every other route knows the item. Raises Problem for any other."""
    if record.get("item_id") is None:
        return record  # which the catalog refuses
    return record | {"item_id": check_new_id(record["item_id"], f"change {place}")}


def _refuse_other_id(record: dict[str, Any], item_id: str) -> None:
    if id_text(record.get("item_id", item_id)) != item_id:
        raise Problem(errors.INVALID_CHANGE, f"the body's id is {shortened(record['item_id'])}, not the address's")


def _answer(outcome: Outcome, version: int, request_id: str) -> Response:
    return json_response(
        {
            "request_id": request_id,
            "inserted": outcome.inserted,
            "replaced": outcome.replaced,
            "deleted": outcome.deleted,
            "missing": outcome.missing,
            "catalog_version": version,
        }
    )


router.include_router(changes)
