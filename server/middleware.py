"""What surrounds every request: an id, limits on its size, one log line, metrics, and an answer if all else fails.

One plain ASGI class, because Starlette's `BaseHTTPMiddleware` would copy every message through a queue.
"""

import re
import time
import uuid

import structlog
from fastapi import Request
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from server import errors, telemetry
from server.errors import Problem, problem_response
from server.http_protocol import LONGEST_URL

__all__ = ["REQUEST_ID", "Requests"]

REQUEST_ID = "X-Request-ID"
SANE_ID = re.compile(r"[A-Za-z0-9._:-]{1,64}")
CLIENT_LEFT = 499  # nginx's number for it; nobody receives it
QUIET_ROUTES = frozenset({"/health/live", "/health/ready", "/metrics"})

log = structlog.get_logger(__name__)


class Requests:
    """ASGI middleware. `request.state` gains `request_id`, and routes may set `degraded` there."""

    def __init__(self, app: ASGIApp, *, max_body_bytes: int) -> None:
        self._app = app
        self._max_body_bytes = max_body_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        state = scope.setdefault("state", {})
        state["request_id"] = request_id_of(Headers(scope=scope).get(REQUEST_ID))
        response = _Response(send, state["request_id"])
        with (
            structlog.contextvars.bound_contextvars(request_id=state["request_id"]),
            telemetry.IN_FLIGHT.track_inprogress(),
        ):
            try:
                await self._answer(scope, receive, response)
            finally:
                _report(scope, response.status, time.perf_counter() - started)

    async def _answer(self, scope: Scope, receive: Receive, response: "_Response") -> None:
        request = Request(scope)
        try:
            self._check_size(request)
            body = _Body(receive, self._max_body_bytes)
            await self._app(scope, body, response)
        except Problem as problem:
            await problem_response(request, problem)(scope, receive, response)
        except ClientDisconnect:
            response.status = CLIENT_LEFT
        except Exception:
            log.exception("internal_error")
            if response.status is None:
                unforeseen = Problem(errors.INTERNAL_ERROR, "the log has the reason under this request_id")
                await problem_response(request, unforeseen)(scope, receive, response)

    def _check_size(self, request: Request) -> None:
        if max(len(request.scope.get("query_string", b"")), len(request.scope["path"])) > LONGEST_URL:
            raise Problem(errors.URL_TOO_LONG, f"the URL is over {LONGEST_URL:,} bytes: shorten what it asks for")
        length = request.headers.get("content-length", "0")
        if length.isdecimal() and int(length) > self._max_body_bytes:
            raise body_too_large(self._max_body_bytes)
        encoding = request.headers.get("content-encoding", "identity")
        if encoding.lower() != "identity":
            raise Problem(errors.UNSUPPORTED_MEDIA_TYPE, "a compressed body is not read: send it as it is")


class _Body:
    """Receives a body and stops one that turns out to be too large."""

    def __init__(self, receive: Receive, limit: int) -> None:
        self._receive = receive
        self._limit = limit
        self._size = 0

    async def __call__(self) -> Message:
        message = await self._receive()
        self._size += len(message.get("body", b""))
        if self._size > self._limit:
            raise body_too_large(self._limit)
        return message


class _Response:
    """Sends a response with the request id, and remembers its status."""

    def __init__(self, send: Send, request_id: str) -> None:
        self._send = send
        self._request_id = request_id
        self.status: int | None = None

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            MutableHeaders(scope=message)[REQUEST_ID] = self._request_id
        await self._send(message)


def request_id_of(header: str | None) -> str:
    """The client's own id where it is short and plain, else a new one."""
    if header is not None and SANE_ID.fullmatch(header):
        return header
    return uuid.uuid4().hex


def body_too_large(limit: int) -> Problem:
    return Problem(errors.BODY_TOO_LARGE, f"the body is over {limit:,} bytes: send less at once")


def _report(scope: Scope, status: int | None, seconds: float) -> None:
    state = scope["state"]
    route = getattr(scope.get("route"), "path", "unmatched")
    outcome = telemetry.outcome_of(status or 500, degraded=state.get("degraded", False))
    telemetry.REQUEST_SECONDS.labels(route, outcome).observe(seconds)
    if outcome == "degraded":
        telemetry.DEGRADED.labels(route).inc()
    write = log.debug if route in QUIET_ROUTES else log.info
    write(
        "request",
        method=scope["method"],
        route=route,
        status=status,
        outcome=outcome,
        code=state.get("code"),
        took_ms=round(seconds * 1000, 2),
    )
