"""The ASGI middleware that knows every request: its id, its log line, and an answer if all else fails.

From the outside in, as server/app.py stacks them: RequestContextMiddleware, CompressionMiddleware (compression.py),
cross-origin rules, ProblemMiddleware, RequestBodyMiddleware (request_body.py), AuditMiddleware (audit.py),
HeadMiddleware (head.py), the routes. They are plain ASGI classes,
because Starlette's `BaseHTTPMiddleware` would copy every message through a queue.
"""

import re
import time
import uuid

import structlog
from fastapi import Request
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from server.api.problems import problem_response
from server.api.transport.security_headers import protect
from server.auth.authorizer import Admission
from server.core import errors, metrics
from server.core.errors import Problem

__all__ = ["REQUEST_ID", "ProblemMiddleware", "RequestContextMiddleware"]

REQUEST_ID = "X-Request-ID"
SANE_ID = re.compile(r"[A-Za-z0-9._:-]{1,64}")
CLIENT_LEFT = 499  # nginx's status for a client that closed its connection; nobody receives it
QUIET_ROUTES = frozenset({"/health/live", "/health/ready", "/metrics"})

log = structlog.get_logger(__name__)


class RequestContextMiddleware:
    """Gives a request its id, and its answer the headers, the log line and the metrics that every one has.

    `request.state` gains `request_id`, `arrived` (seconds of `time.monotonic`) and `status` (None until the answer
    begins). Routes may set `degraded` there, and the authorizer sets `admission`, which is ended here.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.monotonic()
        state = scope.setdefault("state", {})
        state["arrived"] = started
        state["request_id"] = request_id_of(Headers(scope=scope).get(REQUEST_ID))
        state["status"] = None

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                state["status"] = message["status"]
                headers = MutableHeaders(scope=message)
                headers[REQUEST_ID] = state["request_id"]
                protect(headers, message["status"])
            await send(message)

        with (
            structlog.contextvars.bound_contextvars(request_id=state["request_id"]),
            metrics.IN_FLIGHT.track_inprogress(),
        ):
            try:
                await self._app(scope, receive, send_with_headers)
            finally:
                _end(state.get("admission"))
                _report(scope, state["status"], time.monotonic() - started)


class ProblemMiddleware:
    """Answers what no handler of the application foresaw: problems of the middleware inside, and a 500 for the rest."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = Request(scope)
        try:
            await self._app(scope, receive, send)
        except Problem as problem:
            await problem_response(request, problem)(scope, receive, send)
        except ClientDisconnect:
            request.state.status = CLIENT_LEFT
        except Exception:
            log.exception("internal_error")
            if request.state.status is None:
                unforeseen = Problem(errors.INTERNAL_ERROR, "the log has the reason under this request_id")
                await problem_response(request, unforeseen)(scope, receive, send)


def request_id_of(header: str | None) -> str:
    """The client's own id where it is short and plain, else a new one."""
    if header is not None and SANE_ID.fullmatch(header):
        return header
    return uuid.uuid4().hex


def _end(admission: Admission | None) -> None:
    if admission is not None:
        admission.end()


def _report(scope: Scope, status: int | None, seconds: float) -> None:
    state = scope["state"]
    route = getattr(scope.get("route"), "path", "unmatched")
    outcome = metrics.outcome_of(status or 500, degraded=state.get("degraded", False))
    metrics.REQUEST_SECONDS.labels(route, outcome).observe(seconds)
    if outcome == "degraded":
        metrics.DEGRADED.labels(route).inc()
    if "code" in state:
        metrics.PROBLEMS.labels(state["code"]).inc()
    write = log.debug if route in QUIET_ROUTES else log.info
    write(
        "request",
        method=scope["method"],
        route=route,
        status=status,
        outcome=outcome,
        code=state.get("code"),
        key=state.get("key"),
        took_ms=round(seconds * 1000, 2),
    )
