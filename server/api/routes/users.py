"""Users: what is in their history, a visitor's session that becomes theirs, and their erasure."""

from dataclasses import asdict
from typing import Annotated

from fastapi import APIRouter, Path, Request, Response

from server.api.dependencies import DeploymentsDep, HistoryDep, RequestIdDep, require
from server.api.schemas.requests import body_of, no_parameters, query_of, read_model, read_query
from server.api.schemas.responses import json_response, problems
from server.api.schemas.types import Identifier
from server.api.schemas.users import ErasedBody, HistoryBody, HistoryParameters, MergeBody, MergedBody
from server.core import errors
from server.core.errors import Problem

__all__ = ["router"]

router = APIRouter(prefix="/users", tags=["users"], responses=problems(422, 500, 503))

UserId = Annotated[Identifier, Path(description="slashes are fine")]


@router.get(
    "/{user:id}/history",
    response_model=HistoryBody,
    dependencies=[require("read")],
    openapi_extra=query_of(HistoryParameters),
)
async def get_user_history(
    user: UserId,
    request: Request,
    history: HistoryDep,
    deployments: DeploymentsDep,
    request_id: RequestIdDep,
) -> Response:
    """A user's latest events, the newest first; somebody unknown has none."""
    past = await history.past_events(user, read_query(request, HistoryParameters).limit)
    items = deployments.router.current.catalog.searcher.items
    titles = items.table["title"]
    rows = [items.row_of(event.item_id) for event in past.events]
    events = [
        asdict(event) | {"title": None if row is None else titles[row].as_py()}
        for event, row in zip(past.events, rows, strict=True)
    ]
    return json_response({"request_id": request_id, "user": user, "events": events, "total": past.total})


@router.post(
    "/{user:id}/merge",
    response_model=MergedBody,
    dependencies=[require("write"), no_parameters(MergeBody)],
    responses=problems(400, 409, 413, 415),
    openapi_extra=body_of(MergeBody),
)
async def merge_session(user: UserId, request: Request, history: HistoryDep, request_id: RequestIdDep) -> Response:
    """Makes what a visitor did under a session id part of a user's history. Repeating it is harmless."""
    session = (await read_model(request, MergeBody)).session
    if session == user:
        detail = "session: is the user's own id: give the id that the visitor had before"
        raise Problem(errors.INVALID_REQUEST, detail)
    moved = await history.merge(user, session)
    return json_response({"request_id": request_id, "user": user, "session": session, "moved": moved})


@router.delete("/{user:id}", response_model=ErasedBody, dependencies=[require("write"), no_parameters()])
async def erase_user(user: UserId, history: HistoryDep, request_id: RequestIdDep) -> Response:
    """Forgets what a user and the sessions merged into it did, here and for training. Repeating it is harmless."""
    erased = await history.erase(user)
    return json_response({"request_id": request_id, "user": user, "events_erased": erased})
