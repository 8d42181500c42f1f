"""Synonyms: words that queries are also read as."""

from typing import Any

from fastapi import APIRouter, Request, Response

from catalog.priors.words import SynonymSet, fault_of
from server.api.dependencies import RequestIdDep, SynonymSyncDep, require
from server.api.schemas.items import (
    SynonymParameters,
    SynonymsBody,
    SynonymsDeletedBody,
    SynonymSetBody,
    SynonymsListParameters,
    SynonymsWrittenBody,
)
from server.api.schemas.requests import body_of, no_parameters, query_of, read_model, read_query
from server.api.schemas.responses import json_response, page_of_names, problems
from server.api.schemas.types import Identifier
from server.core import errors
from server.core.errors import Problem
from server.serving.sync.synonym_sync import MAX_PHRASES, TooManySynonyms

__all__ = ["router"]

router = APIRouter(tags=["items"])
looks = APIRouter(tags=["items"], dependencies=[require("read")], responses=problems(414, 422, 500))
changes = APIRouter(
    tags=["items"],
    dependencies=[require("admin"), no_parameters(SynonymParameters)],
    responses=problems(403, 414, 422, 500, 503),
)


@looks.get("/synonyms", response_model=SynonymsBody, openapi_extra=query_of(SynonymsListParameters))
async def list_synonyms(request: Request, synonym_sync: SynonymSyncDep) -> Response:
    """The sets of synonyms that queries are read with, by their ids."""
    wanted, sets = read_query(request, SynonymsListParameters), synonym_sync.entries
    shown, next_cursor = page_of_names(sets, wanted.limit, wanted.cursor)
    listed = [_shown(sets[name]) for name in shown]
    return json_response({"synonyms": listed, "total": len(sets), "next_cursor": next_cursor})


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
    return json_response(_shown(found))


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
    given = await read_model(request, SynonymParameters)
    phrases = given.synonyms if given.root is None else [given.root, *given.synonyms]
    if (fault := fault_of(phrases)) is not None:
        place, code, message = fault
        names = [] if given.root is None else ["root"]
        names += [f"synonyms.{number}" for number in range(len(given.synonyms))]
        raise errors.invalid_parameter(names[place], code, message)
    if len(phrases) < 2:
        message = "has one word, which is like none: give two or more, or one and a `root`"
        raise errors.invalid_parameter("synonyms", "too_short", message)
    new = SynonymSet(set_id, tuple(given.synonyms), given.root)
    try:
        created = await synonym_sync.put(new)
    except TooManySynonyms as error:
        message = f"there would be over {MAX_PHRASES:,} words and phrases in all sets: delete some first"
        raise errors.invalid_parameter("synonyms", "too_many_synonyms", message) from error
    return json_response({"request_id": request_id, **_shown(new), "created": created})


@changes.delete("/synonyms/{set_id:id}", response_model=SynonymsDeletedBody, responses=problems(404))
async def delete_synonyms(set_id: Identifier, synonym_sync: SynonymSyncDep, request_id: RequestIdDep) -> Response:
    """Takes a set of synonyms away, in every server within about a second."""
    if not await synonym_sync.delete(set_id):
        raise _not_found(set_id)
    return json_response({"request_id": request_id, "id": set_id})


def _shown(one: SynonymSet) -> dict[str, Any]:
    return {"id": one.id, "synonyms": list(one.synonyms), "root": one.root}


def _not_found(set_id: str) -> Problem:
    detail = f"no synonyms are named {set_id[:256]!r}: GET /synonyms lists them"
    return Problem(errors.SYNONYM_NOT_FOUND, detail)


router.include_router(looks)
router.include_router(changes)
