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

__all__ = ["SCOPES", "Key", "KeyName", "Scope", "check_name", "iso", "mint", "split"]

Scope = Literal["read", "write", "admin"]
SCOPES: tuple[Scope, ...] = get_args(Scope)
TEXT = re.compile(r"gsk_([0-9a-f]{12})_([0-9a-f]{64})", re.ASCII)

MAX_NAME_LENGTH = 100


def check_name(text: str) -> str:
    """The name itself, which terminals list line by line. Raises ValueError where it is empty, long or unprintable."""
    if not text.strip() or len(text) > MAX_NAME_LENGTH or not text.isprintable():
        raise ValueError(f"give a name of 1 to {MAX_NAME_LENGTH} printable characters")
    return text


KeyName = Annotated[str, AfterValidator(check_name), Field(description="for people: whose key this is")]


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """A key as its file keeps it. Limits that are None are the server's own (see server/auth/rate_limit.py)."""

    __pydantic_config__ = ConfigDict(extra="forbid")

    id: Annotated[str, Field(pattern=r"^[0-9a-f]{12}$")]
    name: KeyName
    scopes: Annotated[tuple[Scope, ...], Field(min_length=1)]
    created: str
    rate_per_second: Annotated[float | None, Field(gt=0, allow_inf_nan=False)] = None
    burst: Annotated[int | None, Field(ge=1)] = None
    concurrency: Annotated[int | None, Field(ge=1)] = None
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] = field(repr=False)

    def allows(self, scope: Scope) -> bool:
        return scope in self.scopes or "admin" in self.scopes

    def fits(self, secret: str) -> bool:
        return hmac.compare_digest(self.sha256, sha256_of(secret))


def mint(
    *,
    name: str,
    scopes: tuple[Scope, ...],
    rate_per_second: float | None = None,
    burst: int | None = None,
    concurrency: int | None = None,
) -> tuple[Key, str]:
    """A new key, and its text, which nothing keeps."""
    key_id, secret = secrets.token_hex(6), secrets.token_hex(32)
    key = Key(
        id=key_id,
        name=name,
        scopes=tuple(scope for scope in SCOPES if scope in scopes),
        created=iso(time.time()),
        rate_per_second=rate_per_second,
        burst=burst,
        concurrency=concurrency,
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
