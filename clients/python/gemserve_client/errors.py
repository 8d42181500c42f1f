"""What the client raises.

GemserveError
├── ConnectionFailed     nobody answered, or the connection broke
├── TimedOut             connecting or reading took longer than the client's `Timeouts`
├── InvalidKey           the key that the client was given has characters that no key has
├── InvalidArgument      a value that cannot be sent, such as NaN or half a surrogate pair; the message names it
├── UnexpectedAnswer     an answer that a gemserve of this version would not give
└── ApiError             the server answered with a problem (RFC 9457 `application/problem+json`)
    ├── InvalidRequest   400, 413, 414, 415, 422 and others from 400 on: the request has to change
    ├── Unauthenticated  401: no key, or one that the server does not know
    ├── Forbidden        403: the key lacks a scope, or the server is closed to this
    ├── NotFound         404
    ├── Conflict         409: not as things are now
    ├── TooManyRequests  429: over the key's limits
    ├── Unavailable      503: later, or another server
    ├── AnswerTimedOut   504: the answer took longer than the server, or `timeout_ms`, allows
    └── ServerFault      any other status, such as 500 or a redirection
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from http import HTTPStatus
from typing import Any

import httpx

__all__ = [
    "AnswerTimedOut",
    "ApiError",
    "Conflict",
    "ConnectionFailed",
    "Forbidden",
    "GemserveError",
    "InvalidArgument",
    "InvalidKey",
    "InvalidRequest",
    "NotFound",
    "ServerFault",
    "TimedOut",
    "TooManyRequests",
    "Unauthenticated",
    "Unavailable",
    "UnexpectedAnswer",
    "api_error",
    "sendable",
]


class GemserveError(Exception):
    """Anything that goes wrong between this client and a server, or keeps the client from asking."""


class ConnectionFailed(GemserveError):
    """Nobody answered, or the connection broke."""


class TimedOut(GemserveError):
    """Connecting or reading took too long. Whether the server did what it was asked to is not known."""


class InvalidKey(GemserveError):
    """The key has characters that no key has, so nothing can be sent with it."""


class InvalidArgument(GemserveError):
    """A value that means nothing in JSON, or more than one thing; it was not sent. argument: its name, where known."""

    argument: str | None = None


@contextlib.contextmanager
def sendable() -> Iterator[None]:
    """Turns what httpx raises for an address, header or parameter that cannot be into InvalidArgument."""
    try:
        yield
    except (ValueError, TypeError, AttributeError, httpx.InvalidURL) as error:
        raise InvalidArgument(f"the request cannot be made: {type(error).__name__}: {str(error)[:200]}") from error


class UnexpectedAnswer(GemserveError):
    """An answer that a gemserve of this version would not give."""


class ApiError(GemserveError):
    """The server's problem. `code` is stable, `detail` is for people; `members` has whatever else it tells."""

    def __init__(self, status: int, problem: Mapping[str, Any], *, request_id: str, retry_after: float | None) -> None:
        self.status = status
        self.code = str(problem.get("code", "http_error"))
        self.title = str(problem.get("title", ""))
        self.detail = str(problem.get("detail") or _phrase(status))
        self.request_id = str(problem.get("request_id") or request_id)
        self.errors: Sequence[Mapping[str, str]] = problem.get("errors", ())
        self.retry_after = retry_after
        self.members = {name: value for name, value in problem.items() if name not in STANDARD}
        super().__init__(f"{self.detail} ({self.code}, status {status}, request {self.request_id})")


class InvalidRequest(ApiError):
    """The request has to change; `errors` lists `{field, code, message}` where fields are at fault."""


class Unauthenticated(ApiError):
    """No key, or one that the server does not know."""


class Forbidden(ApiError):
    """The key lacks a scope, or the server is closed to this."""


class NotFound(ApiError):
    """There is no such item, model, key or address."""


class Conflict(ApiError):
    """Not as things are now."""


class TooManyRequests(ApiError):
    """Over the key's limits: `retry_after` seconds tells when the next is taken."""


class Unavailable(ApiError):
    """The server, its model or its Redis is not there right now."""


class AnswerTimedOut(ApiError):
    """The answer took longer than the server, or `timeout_ms`, allows."""


class ServerFault(ApiError):
    """Something went wrong inside the server, or between it and the client."""


STANDARD = frozenset({"type", "title", "status", "detail", "code", "request_id", "errors"})
BY_STATUS: Mapping[int, type[ApiError]] = {
    401: Unauthenticated,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    429: TooManyRequests,
    503: Unavailable,
    504: AnswerTimedOut,
}


def api_error(
    status: int, problem: Mapping[str, Any], *, request_id: str = "", retry_after: float | None = None
) -> ApiError:
    """The exception of a status; `problem` is empty where the body was none, as from a proxy in between."""
    kind = BY_STATUS.get(status, InvalidRequest if 400 <= status < 500 else ServerFault)
    return kind(status, problem, request_id=request_id, retry_after=retry_after)


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "an unknown status"
