"""Errors as responses: every exception that leaves a route becomes `application/problem+json` (RFC 9457) here."""

from __future__ import annotations

from typing import Any

import orjson
import structlog
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from catalog.errors import CatalogError, FilterError
from server.core.errors import (
    ACTIVATION_BUSY,
    ACTIVATION_FAILED,
    ENGINE_UNAVAILABLE,
    HISTORY_UNAVAILABLE,
    INTERNAL_ERROR,
    INVALID_CHANGE,
    INVALID_FILTER,
    METHOD_NOT_ALLOWED,
    NOT_FOUND,
    RETRY_LATER,
    SESSION_TAKEN,
    HistoryUnavailable,
    Problem,
    ProblemKind,
    RolloutFailed,
    RolloutInProgress,
    SessionTaken,
    describe,
    invalid_request,
)
from server.engine.errors import EngineError, EngineUnavailable

__all__ = [
    "PROBLEM_JSON",
    "engine_problem",
    "filter_problem",
    "install_handlers",
    "problem_body",
    "problem_members",
    "problem_response",
]

log = structlog.get_logger(__name__)

PROBLEM_JSON = "application/problem+json"


def problem_body(problem: Problem, request_id: str | None) -> bytes:
    return orjson.dumps(problem_members(problem, request_id))


def problem_members(problem: Problem, request_id: str | None) -> dict[str, Any]:
    kind = problem.kind
    return {
        "type": f"urn:gemserve:problem:{kind.code}",
        "title": kind.title,
        "status": kind.status,
        "detail": problem.detail,
        "code": kind.code,
        "request_id": request_id,
        **problem.members,
    }


def problem_response(request: Request, problem: Problem) -> Response:
    request.state.code = problem.kind.code
    body = problem_body(problem, getattr(request.state, "request_id", None))
    return Response(body, problem.kind.status, headers=problem.headers, media_type=PROBLEM_JSON)


def install_handlers(app: FastAPI) -> None:
    """Makes every error that leaves a route a problem+json response."""
    app.exception_handler(Problem)(_answer_problem)
    app.exception_handler(RequestValidationError)(_answer_validation)
    app.exception_handler(HTTPException)(_answer_http)
    app.exception_handler(HistoryUnavailable)(_answer_history)
    app.exception_handler(SessionTaken)(_answer_session)
    app.exception_handler(EngineError)(_answer_engine)
    app.exception_handler(FilterError)(_answer_filter)
    app.exception_handler(CatalogError)(_answer_change)
    app.exception_handler(RolloutFailed)(_answer_activation)


async def _answer_problem(request: Request, problem: Problem) -> Response:
    return problem_response(request, problem)


async def _answer_validation(request: Request, error: RequestValidationError) -> Response:
    errors = describe(error.errors(), skip=1)  # the first part of a place is "query", "path" or "body"
    return problem_response(request, invalid_request(errors))


async def _answer_http(request: Request, error: HTTPException) -> Response:
    method, path = request.method, request.scope["path"][:200]
    if error.status_code == 404:
        problem = Problem(NOT_FOUND, f"nothing is at {path}")
    elif error.status_code == 405:
        allowed = (error.headers or {}).get("Allow", "other methods")
        if "GET" in allowed.split(", ") and "HEAD" not in allowed:
            allowed = f"{allowed}, HEAD"
        detail = f"{path} does not answer {method}, but {allowed}"
        headers = {"Allow": allowed} if error.headers else None
        problem = Problem(METHOD_NOT_ALLOWED, detail, headers=headers)
    else:
        kind = ProblemKind("http_error", error.status_code, "The request cannot be answered")
        problem = Problem(kind, str(error.detail), headers=error.headers)
    return problem_response(request, problem)


async def _answer_history(request: Request, error: HistoryUnavailable) -> Response:
    log.warning("history_unavailable", error=str(error))
    detail = "Redis is away or slow and nothing was acknowledged: send the request again, events with the same event_id"
    return problem_response(request, Problem(HISTORY_UNAVAILABLE, detail, headers=RETRY_LATER))


async def _answer_session(request: Request, error: SessionTaken) -> Response:
    return problem_response(request, Problem(SESSION_TAKEN, str(error)))


async def _answer_engine(request: Request, error: EngineError) -> Response:
    return problem_response(request, engine_problem(error))


def engine_problem(error: EngineError) -> Problem:
    """What a client is told of it; the log has the rest."""
    log.error("engine_error", error=str(error))
    if isinstance(error, EngineUnavailable):
        detail = "the engine does not answer; one that died is being started again: try again, or ask another server"
        return Problem(ENGINE_UNAVAILABLE, detail, headers=RETRY_LATER)
    return Problem(INTERNAL_ERROR, "the engine refused the request; the log has the reason under this request_id")


async def _answer_filter(request: Request, error: FilterError) -> Response:
    return problem_response(request, filter_problem(error))


def filter_problem(error: FilterError) -> Problem:
    return Problem(INVALID_FILTER, f"filter: {error}", position=error.position, length=error.length)


async def _answer_change(request: Request, error: CatalogError) -> Response:
    return problem_response(request, Problem(INVALID_CHANGE, str(error)))


async def _answer_activation(request: Request, error: RolloutFailed) -> Response:
    log.warning("activation_failed", error=str(error))
    kind = ACTIVATION_BUSY if isinstance(error, RolloutInProgress) else ACTIVATION_FAILED
    return problem_response(request, Problem(kind, str(error)))
