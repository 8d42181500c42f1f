"""Synonyms: words that queries are also read as."""

import asyncio
from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter, Request, Response

from catalog.priors.words import SynonymSet
from server.api.bulk.body import body_of_lines
from server.api.bulk.entries import MAX_ENTRY_LINES, EntryImporter
from server.api.bulk.response import EarlyResponse
from server.api.dependencies import BatchRunnerDep, RequestIdDep, SynonymSyncDep, require
from server.api.schemas.bulk import ImportLineBody
from server.api.schemas.curation.listing import ListParameters, page_of
from server.api.schemas.curation.synonyms import (
    SynonymParameters,
    SynonymsBody,
    SynonymsDeletedBody,
    SynonymSetBody,
    SynonymsWrittenBody,
    shown_synonyms,
    texts_of_synonyms,
)
from server.api.schemas.json_text import SYNONYMS
from server.api.schemas.requests import body_of, conform, no_parameters, query_of, read_model, read_query
from server.api.schemas.responses import json_response, problems
from server.api.schemas.types import Identifier
from server.core import errors
from server.core.errors import Problem
from server.serving.sync.shared_sync import TooMany

__all__ = ["router"]

LINE: dict[str, Any] = {"type": "object", "description": "a set as `PUT /synonyms/{id}` takes it, with its `id`"}

router = APIRouter(tags=["items"])
looks = APIRouter(tags=["items"], dependencies=[require("read")], responses=problems(414, 422, 500))
changes = APIRouter(
    tags=["items"],
    dependencies=[require("admin"), no_parameters(SynonymParameters)],
    responses=problems(403, 414, 422, 500, 503),
)


@looks.get("/synonyms", response_model=SynonymsBody, openapi_extra=query_of(ListParameters))
async def list_synonyms(request: Request, synonym_sync: SynonymSyncDep) -> Response:
    """The sets of synonyms that queries are read with, by their ids."""
    wanted = read_query(request, ListParameters)
    shown, total, cursor = await asyncio.to_thread(page_of, synonym_sync.entries, wanted, texts_of_synonyms)
    return json_response({"synonyms": [*map(shown_synonyms, shown)], "total": total, "next_cursor": cursor})


@looks.get(
    "/synonyms/{set_id:id}",
    response_model=SynonymSetBody,
    dependencies=[no_parameters()],
    responses=problems(404),
)
async def get_synonyms(set_id: Identifier, synonym_sync: SynonymSyncDep) -> Response:
    """One set of synonyms."""
    if (found := synonym_sync.entries.get(set_id)) is None:
        raise _not_found(set_id)
    return json_response(shown_synonyms(found))


@changes.put(
    "/synonyms/{set_id:id}",
    response_model=SynonymsWrittenBody,
    openapi_extra=body_of(SynonymParameters),
    responses=problems(400, 413, 415),
)
async def put_synonyms(
    set_id: Identifier, request: Request, synonym_sync: SynonymSyncDep, request_id: RequestIdDep
) -> Response:
    """Writes a set of synonyms, new or in place of the one there was.

    Without `root` each of them is also read as the others; with it, the root alone is. It holds in every server on the
    same Redis within about a second, and after a restart.
    """
    new = (await read_model(request, SynonymParameters)).synonym_set(set_id)
    try:
        created = await synonym_sync.put(new)
    except TooMany as error:
        raise _too_many(error) from error
    return json_response({"request_id": request_id, **shown_synonyms(new), "created": created})


@changes.post(
    "/synonyms/import",
    status_code=200,
    response_class=EarlyResponse,
    responses={200: {"model": ImportLineBody}, **problems(400, 413, 415)},
    openapi_extra={"requestBody": body_of_lines(LINE, MAX_ENTRY_LINES)},
)
async def import_synonyms(
    request: Request, synonym_sync: SynonymSyncDep, runner: BatchRunnerDep, request_id: RequestIdDep
) -> Response:
    """Writes up to 10,000 sets of synonyms, a thousand lines at a time, and answers every line in order.

    A line that cannot be taken has its problem, and the others count. What was answered is kept, whatever comes later.
    """
    nothing = errors.invalid_parameter("body", "missing", f"no set came: send 1 to {MAX_ENTRY_LINES:,}, one a line")
    importer = EntryImporter(
        *("sets of synonyms", _read, synonym_sync.put_all, _too_many),
        request_id=request_id,
        max_line_bytes=runner.max_line_bytes,
    )
    return await importer.imported(request, SYNONYMS, nothing)


@changes.delete("/synonyms/{set_id:id}", response_model=SynonymsDeletedBody, responses=problems(404))
async def delete_synonyms(set_id: Identifier, synonym_sync: SynonymSyncDep, request_id: RequestIdDep) -> Response:
    """Takes a set of synonyms away, in every server within about a second."""
    if not await synonym_sync.delete(set_id):
        raise _not_found(set_id)
    return json_response({"request_id": request_id, "id": set_id})


def _read(set_id: str, fields: Mapping[str, Any]) -> SynonymSet:
    """Raises Problem."""
    return conform(fields, SynonymParameters).synonym_set(set_id)


def _too_many(error: TooMany) -> Problem:
    return errors.invalid_parameter("synonyms", "too_many_synonyms", f"there would be {error}: delete some first")


def _not_found(set_id: str) -> Problem:
    detail = f"no synonyms are named {set_id[:256]!r}: GET /synonyms lists them"
    return Problem(errors.SYNONYM_NOT_FOUND, detail)


router.include_router(looks)
router.include_router(changes)
