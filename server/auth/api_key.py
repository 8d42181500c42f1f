"""An API key: what its file keeps of it, and the text that its owner sends.

The text is `gsk_<id>_<secret>`. Its secret is 256 random bits, so the file keeps a plain SHA-256 of it: a slow hash
protects secrets that can be guessed, and nobody guesses 256 bits; it would only make every request slower.
"""

from __future__ import annotations

import datetime
import hashlib
import hmac
import re
import secrets
import time
from dataclasses import dataclass, field
from typing import Annotated, Literal, get_args

from pydantic import AfterValidator, ConfigDict, Field

from catalog.errors import FilterError
from catalog.filters import parse

__all__ = [
    "SCOPES",
    "Key",
    "KeyFilter",
    "KeyName",
    "Moment",
    "RouteName",
    "Scope",
    "check_filter",
    "check_moment",
    "check_name",
    "iso",
    "mint",
    "split",
]

Scope = Literal["read", "write", "admin"]
SCOPES: tuple[Scope, ...] = get_args(Scope)
TEXT = re.compile(r"gsk_([0-9a-f]{12})_([0-9a-f]{64})", re.ASCII)

MAX_NAME_LENGTH = 100
MAX_ROUTES = 50


def check_name(text: str) -> str:
    """The name itself, which terminals list line by line. Raises ValueError where it is empty, long or unprintable."""
    if not text.strip() or len(text) > MAX_NAME_LENGTH or not text.isprintable():
        raise ValueError(f"give a name of 1 to {MAX_NAME_LENGTH} printable characters")
    return text


def check_moment(text: str) -> str:
    """A moment in ISO 8601, in UTC. Raises ValueError where it is none or has no time zone, which would be a guess."""
    try:
        moment = datetime.datetime.fromisoformat(text)
    except ValueError as error:
        raise ValueError("give a moment such as 2027-01-31T18:00:00Z") from error
    if moment.tzinfo is None:
        raise ValueError("give the time zone too, as in 2027-01-31T18:00:00Z")
    return iso(moment.timestamp())


def check_filter(text: str) -> str:
    """The filter itself, whatever columns the catalog has. Raises ValueError where it cannot be read."""
    try:
        parse(text)
    except FilterError as error:
        raise ValueError(str(error)) from error
    return text


Moment = Annotated[
    str,
    AfterValidator(check_moment),
    Field(description="ISO 8601 with a time zone", examples=["2027-01-31T18:00:00Z"]),
]
KeyFilter = Annotated[str, AfterValidator(check_filter), Field(examples=['brand = "Norvik"'])]
RouteName = Annotated[
    str,
    Field(
        pattern=r"^(GET|POST|PUT|PATCH|DELETE) /[!-~]*$",
        description="method and path, as this document has them",
        examples=["GET /items/{item_id}/similar"],
    ),
]
KeyName = Annotated[str, AfterValidator(check_name), Field(description="for people: whose key this is")]


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """A key as its file keeps it. Limits that are None are the server's own (see server/auth/rate_limit.py).

    expires_at: from when on it is no key any more; None for never.
    filter_by: the only items that it may see, and write events about; None for all.
    routes: the only ones that it opens, of those of its scopes; None for all.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")

    id: Annotated[str, Field(pattern=r"^[0-9a-f]{12}$")]
    name: KeyName
    scopes: Annotated[tuple[Scope, ...], Field(min_length=1)]
    created: str
    rate_per_second: Annotated[float | None, Field(gt=0, allow_inf_nan=False)] = None
    burst: Annotated[int | None, Field(ge=1)] = None
    concurrency: Annotated[int | None, Field(ge=1)] = None
    expires_at: Moment | None = None
    filter_by: KeyFilter | None = None
    routes: Annotated[tuple[RouteName, ...], Field(min_length=1, max_length=MAX_ROUTES)] | None = None
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] = field(repr=False)

    def __post_init__(self) -> None:
        if self.filter_by is not None and "admin" in self.scopes:
            raise ValueError(
                "a key with a filter cannot administer, which concerns all items: take the scope admin away"
            )

    @property
    def is_restricted(self) -> bool:
        """Whether it may do less than its scopes say, or not for ever."""
        return self.expires_at is not None or self.filter_by is not None or self.routes is not None

    def allows(self, scope: Scope) -> bool:
        return scope in self.scopes or "admin" in self.scopes

    def opens(self, route: str) -> bool:
        """route: method and path as the OpenAPI document has them."""
        return self.routes is None or route in self.routes

    def is_expired(self, unix_seconds: float) -> bool:
        return self.expires_at is not None and self.expires_at <= iso(unix_seconds)

    def fits(self, secret: str) -> bool:
        return hmac.compare_digest(self.sha256, sha256_of(secret))


def mint(
    *,
    name: str,
    scopes: tuple[Scope, ...],
    rate_per_second: float | None = None,
    burst: int | None = None,
    concurrency: int | None = None,
    expires_at: str | None = None,
    filter_by: str | None = None,
    routes: tuple[str, ...] | None = None,
) -> tuple[Key, str]:
    """A new key, and its text, which nothing keeps. Raises ValueError for a filter beside the scope admin."""
    key_id, secret = secrets.token_hex(6), secrets.token_hex(32)
    key = Key(
        id=key_id,
        name=name,
        scopes=tuple(scope for scope in SCOPES if scope in scopes),
        created=iso(time.time()),
        rate_per_second=rate_per_second,
        burst=burst,
        concurrency=concurrency,
        expires_at=expires_at,
        filter_by=filter_by,
        routes=routes,
        sha256=sha256_of(secret),
    )
    return key, f"gsk_{key_id}_{secret}"


def iso(unix_seconds: float) -> str:
    """A moment in ISO 8601, in UTC."""
    return datetime.datetime.fromtimestamp(unix_seconds, datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def split(text: str) -> tuple[str, str] | None:
    """Id and secret of a key's text; None where it is no such text."""
    found = TEXT.fullmatch(text)
    return (found[1], found[2]) if found else None


def sha256_of(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
