"""Users: what is in their history, a visitor's session that becomes theirs, and their erasure."""

from typing import Annotated

import pyarrow as pa
from fastapi import APIRouter, Path, Request, Response

from server.api.dependencies import AdmissionDep, DeploymentsDep, HistoryDep, RequestIdDep, require
from server.api.schemas.requests import body_of, no_parameters, query_of, read_model, read_query
from server.api.schemas.responses import fields_of, json_response, problems
from server.api.schemas.types import Identifier
from server.api.schemas.users import (
    MAX_HISTORY_EVENTS,
    ErasedBody,
    HistoryBody,
    HistoryParameters,
    MergeBody,
    MergedBody,
)
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
    admission: AdmissionDep,
    request_id: RequestIdDep,
) -> Response:
    """A user's latest events, the newest first; somebody unknown has none. A key with a filter sees those with its
    items only."""
    limit = read_query(request, HistoryParameters).limit
    searcher = deployments.router.current.catalog.searcher
    part = await searcher.eligible.within(admission.filter_by)
    past = await history.past_events(user, limit if admission.filter_by is None else MAX_HISTORY_EVENTS)
    rows = [searcher.items.row_of(event.item_id) for event in past.events]
    seen = list(zip(past.events, rows, strict=True))
    total = past.total
    if admission.filter_by is not None:
        seen = [(event, row) for event, row in seen if row is not None and part.has(row)]
        total = len(seen)
    shown = seen[:limit]
    known = pa.array([row for _, row in shown if row is not None], pa.int64())
    title_of = dict(zip(known.to_pylist(), searcher.items.table["title"].take(known).to_pylist(), strict=True))
    events = [fields_of(event) | {"title": title_of.get(row)} for event, row in shown]
    return json_response({"request_id": request_id, "user": user, "events": events, "total": total})


@router.post(
    "/{user:id}/merge",
    response_model=MergedBody,
    dependencies=[require("write"), no_parameters(MergeBody)],
    responses=problems(400, 409, 413, 415),
    openapi_extra=body_of(MergeBody),
)
async def merge_session(
    user: UserId, request: Request, history: HistoryDep, admission: AdmissionDep, request_id: RequestIdDep
) -> Response:
    """Makes what a visitor did under a session id part of a user's history. Repeating it is harmless."""
    admission.refuse_filtered()
    session = (await read_model(request, MergeBody)).session
    if session == user:
        detail = "session: is the user's own id: give the id that the visitor had before"
        raise Problem(errors.INVALID_REQUEST, detail)
    moved = await history.merge(user, session)
    return json_response({"request_id": request_id, "user": user, "session": session, "moved": moved})


@router.delete("/{user:id}", response_model=ErasedBody, dependencies=[require("write"), no_parameters()])
async def erase_user(user: UserId, history: HistoryDep, admission: AdmissionDep, request_id: RequestIdDep) -> Response:
    """Forgets what a user and the sessions merged into it did, here and for training. Repeating it is harmless."""
    admission.refuse_filtered()
    erased = await history.erase(user)
    return json_response({"request_id": request_id, "user": user, "events_erased": erased})
