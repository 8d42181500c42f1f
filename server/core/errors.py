"""The exceptions of the server, and `Problem`, which a client is told about.

ServerError
├── SettingsError           flags, variables or a file that cannot be accepted
├── StartupError            the server cannot start: a port in use, a managed Redis that does not run
├── HistoryUnavailable      Redis is away or slow
│   └── WrongRedis          of a cluster where one without was named, or with another number of buckets
├── SessionTaken            a session that cannot become a user's, because it is another's
├── RolloutFailed           a model that cannot be served; the one before still is
│   └── RolloutInProgress   another rollout is under way
└── Problem                 anything a client is told, as RFC 9457 `application/problem+json`

A problem's `code` is stable, and `type` is the same code as a URN; `detail` is for people and may change.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

__all__ = [
    "HistoryUnavailable",
    "Problem",
    "ProblemKind",
    "RolloutFailed",
    "RolloutInProgress",
    "ServerError",
    "SessionTaken",
    "SettingsError",
    "StartupError",
    "WrongRedis",
    "describe",
    "in_words",
    "invalid_request",
]


class ServerError(Exception):
    """Anything that goes wrong in the server."""


class SettingsError(ServerError):
    """Settings that cannot be accepted."""


class StartupError(ServerError):
    """The server cannot start."""


class HistoryUnavailable(ServerError):
    """Redis did not answer, or not in time."""


class WrongRedis(HistoryUnavailable):
    """Redis is not the one that the settings name: one of a cluster, or none, or one with another number of buckets."""


class SessionTaken(ServerError):
    """A session that cannot become a user's, because it is another's."""


class RolloutFailed(ServerError):
    """A model that cannot be served; the one before still is."""


class RolloutInProgress(RolloutFailed):
    """Another rollout is under way."""


@dataclass(frozen=True, slots=True)
class ProblemKind:
    """A kind of problem: its stable code, its HTTP status and what it is called for people."""

    code: str
    status: int
    title: str


INVALID_REQUEST = ProblemKind("invalid_request", 422, "A parameter is missing or not acceptable")
INVALID_EVENT = ProblemKind("invalid_event", 422, "No event could be accepted")
MALFORMED_JSON = ProblemKind("malformed_json", 400, "The body is not valid JSON")
MALFORMED_ENCODING = ProblemKind("malformed_encoding", 400, "The body cannot be decompressed")
UNSUPPORTED_MEDIA_TYPE = ProblemKind("unsupported_media_type", 415, "The body is of a kind that is not read here")
BODY_TOO_LARGE = ProblemKind("body_too_large", 413, "The body is too large")
TOO_MANY_EVENTS = ProblemKind("too_many_events", 413, "Too many events at once")
MALFORMED_HTTP = ProblemKind("malformed_http", 400, "This is not HTTP")
MALFORMED_URL = ProblemKind("malformed_url", 400, "The address is not encoded")
REQUEST_TIMEOUT = ProblemKind("request_timeout", 408, "The request did not arrive in time")
TOO_MANY_CONNECTIONS = ProblemKind("too_many_connections", 503, "The server has too many connections")
HEAD_TOO_LARGE = ProblemKind("head_too_large", 431, "The request's headers are too large")
URL_TOO_LONG = ProblemKind("url_too_long", 414, "The URL is too long")
INVALID_FILTER = ProblemKind("invalid_filter", 422, "The filter cannot be read or does not fit the items")
INVALID_CURSOR = ProblemKind("invalid_cursor", 422, "The cursor cannot be read")
FOREIGN_CURSOR = ProblemKind("foreign_cursor", 422, "The cursor belongs to another query")
EXPIRED_CURSOR = ProblemKind("expired_cursor", 422, "The cursor is too old")
TOO_MANY_QUESTIONS = ProblemKind("too_many_questions", 413, "Too many queries at once")
INVALID_CHANGE = ProblemKind("invalid_change", 422, "The catalog cannot take this change")
TOO_MANY_ITEMS = ProblemKind("too_many_items", 413, "Too many items at once")
ADMIN_CLOSED = ProblemKind("admin_closed", 403, "Changes over HTTP are not allowed on this server")
MODEL_NOT_FOUND = ProblemKind("model_not_found", 404, "There is no such model")
BUNDLE_UNREADABLE = ProblemKind("bundle_unreadable", 409, "The bundle cannot be read")
ACTIVATION_FAILED = ProblemKind("activation_failed", 409, "The model is not served")
ACTIVATION_BUSY = ProblemKind("activation_busy", 409, "Another activation is under way")
ITEM_NOT_FOUND = ProblemKind("item_not_found", 404, "The item is not in the catalog")
COLUMN_CONFLICT = ProblemKind("column_conflict", 409, "The column cannot be changed so")
ITEM_EXISTS = ProblemKind("item_exists", 409, "The item is in the catalog already")
SYNONYM_NOT_FOUND = ProblemKind("synonym_not_found", 404, "There are no such synonyms")
OVERRIDE_NOT_FOUND = ProblemKind("override_not_found", 404, "There is no such override")
NOT_FOUND = ProblemKind("not_found", 404, "There is nothing at this address")
METHOD_NOT_ALLOWED = ProblemKind("method_not_allowed", 405, "The address does not answer this method")
SESSION_TAKEN = ProblemKind("session_taken", 409, "The session belongs to another user")
HISTORY_UNAVAILABLE = ProblemKind("history_unavailable", 503, "Redis cannot keep or find anything right now")
OVERLOADED = ProblemKind("overloaded", 503, "The server is asked for more than it can do")
ENGINE_UNAVAILABLE = ProblemKind("engine_unavailable", 503, "The model cannot answer right now")
NOT_READY = ProblemKind("not_ready", 503, "The server is not ready")
ANSWER_TIMEOUT = ProblemKind("answer_timeout", 504, "The model took too long")
KEY_MISSING = ProblemKind("key_missing", 401, "This needs a key")
KEY_UNKNOWN = ProblemKind("key_unknown", 401, "The key is not known")
KEY_EXPIRED = ProblemKind("key_expired", 401, "The key is too old")
KEY_RESTRICTED = ProblemKind("key_restricted", 403, "The key is for something else")
KEY_UNUSABLE = ProblemKind("key_unusable", 403, "The key's filter does not fit the catalog")
SCOPE_MISSING = ProblemKind("scope_missing", 403, "The key may not do this")
RATE_LIMITED = ProblemKind("rate_limited", 429, "Too many requests in a short time")
TOO_MANY_CONCURRENT = ProblemKind("too_many_concurrent", 429, "Too many requests at a time")
KEY_NOT_FOUND = ProblemKind("key_not_found", 404, "There is no such key")
LAST_KEY = ProblemKind("last_key", 409, "The key is needed")
NO_KEYS_FILE = ProblemKind("no_keys_file", 409, "This server has no file of keys")
NO_FLEET = ProblemKind("no_fleet", 409, "This server is in no fleet")
NO_ANALYTICS = ProblemKind("no_analytics", 409, "This server keeps no analytics")
ANALYTICS_TIMEOUT = ProblemKind("analytics_timeout", 503, "The report took too long")
INTERNAL_ERROR = ProblemKind("internal_error", 500, "Something went wrong inside the server")

RETRY_LATER = {"Retry-After": "1"}
MAX_ERRORS = 10  # that one answer lists
MAX_NAME_LENGTH = 100  # characters of a field's name that are repeated


class Problem(ServerError):
    """An error that a client is told about.

    detail: what was wrong, and what to do.
    members: further fields of the body.
    """

    def __init__(
        self, kind: ProblemKind, detail: str, *, headers: Mapping[str, str] | None = None, **members: Any
    ) -> None:
        super().__init__(detail)
        self.kind = kind
        self.detail = detail
        self.headers = headers
        self.members = members


def describe(errors: Sequence[Mapping[str, Any]], *, skip: int = 0) -> list[dict[str, str]]:
    """Pydantic's errors as `{field, code, message}`; never the values that were sent, which can be long or private.

    An error of a whole model names its field as `field` of its context.
    """
    return [{"field": _place(e, skip), "code": e["type"], "message": e["msg"]} for e in errors[:MAX_ERRORS]]


def _place(error: Mapping[str, Any], skip: int) -> str:
    field = error.get("ctx", {}).get("field")
    parts = [*error["loc"][skip:], *([] if field is None else [field])]
    return ".".join(str(part)[:MAX_NAME_LENGTH] for part in parts) or "request"


def in_words(errors: Sequence[Mapping[str, str]]) -> str:
    """What `describe` returned, as one sentence."""
    return "; ".join(f"{e['field']}: {e['message']}" for e in errors)


def invalid_parameter(field: str, code: str, message: str) -> Problem:
    """The problem of one parameter that cannot be accepted."""
    return invalid_request([{"field": field, "code": code, "message": message}])


def invalid_request(faults: Sequence[Mapping[str, str]]) -> Problem:
    """The problem of parameters that cannot be accepted. faults: of the form that `describe` returns."""
    return Problem(INVALID_REQUEST, in_words(faults), errors=faults)
