"""Authorization: finds a request's key, holds its caller to their limits, and asks for the scope that a route needs.

| | read, write | admin |
|---|---|---|
| without a file of keys | open | closed; open with `open_admin` |
| with a file of keys | a key of the scope; reading is open with `open_read` | a key of scope admin |

A file of keys is what closes the server, not the keys in it: once it holds none any more, nobody has one. A key that
was sent counts with all its restrictions, also where everybody may read without one.
"""

from __future__ import annotations

import asyncio
import math
import time
from dataclasses import dataclass, field

from fastapi import Request

from server.auth.api_key import Key, Scope
from server.auth.keyring import Keyring
from server.auth.rate_limit import RateLimit, RateLimiter, TokenBucket
from server.core import errors
from server.core.errors import Problem

__all__ = ["Admission", "Authorizer"]

NO_KEYS = (
    "this server has no keys, so nobody may administer it: make one with `gemserve keys create` and start the server"
    " with --keys FILE, or allow it to everybody with --open-admin true"
)


@dataclass(frozen=True, slots=True)
class Admission:
    """A request that was let in, at `request.state.admission`. The middleware ends it with the answer."""

    limiter: RateLimiter
    bucket: TokenBucket
    key: Key | None = None
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock)

    @property
    def filter_by(self) -> str | None:
        """The only items that the caller may see; None for all."""
        return None if self.key is None else self.key.filter_by

    def refuse_filtered(self) -> None:
        """For what concerns items that a key with a filter may not see. Raises Problem for such a key."""
        if self.filter_by is not None:
            detail = "this concerns items outside of the key's filter too: use a key without one"
            raise Problem(errors.KEY_RESTRICTED, detail)

    def end(self) -> None:
        self.bucket.leave()

    async def pace(self) -> None:
        """Waits until the caller's rate allows one more, for requests that ask for many things, one after another."""
        async with self._turn:
            while wait := await self.limiter.take(self.bucket):
                await asyncio.sleep(wait)


class Authorizer:
    """Decides about every request once: `require` in server/api/dependencies.py calls `admit`."""

    def __init__(self, keyring: Keyring, limiter: RateLimiter, *, open_read: bool, open_admin: bool) -> None:
        """
        open_read: everybody may read where there is a file of keys.
        open_admin: everybody may administer where there is none.
        """
        self.keyring = keyring
        self.last_used: dict[str, float] = {}  # by key id, Unix seconds
        self._limiter = limiter
        self._open_read = open_read
        self._open_admin = open_admin

    async def admit(self, request: Request, scope: Scope) -> None:
        """Raises Problem: 429 over the caller's limits, 401 without a key that is needed, 403 without its scope."""
        state = request.state
        sent = _key_sent(request)
        key = self.keyring.find(sent) if sent is not None else None
        if key is not None:
            state.key = key.id
            self.last_used[key.id] = time.time()
        bucket = self._bucket(request, key)
        if wait := await self._limiter.take(bucket):
            raise _rate_limited(bucket, wait)
        self._check(scope, sent, key)
        if key is not None:
            _check_restrictions(key, request)
        if not bucket.enter():
            detail = f"{bucket.in_flight} of your requests are under way, which is the most: wait for one to end"
            raise Problem(errors.TOO_MANY_CONCURRENT, detail, headers={"Retry-After": "1"})
        state.admission = Admission(self._limiter, bucket, key)

    def _bucket(self, request: Request, key: Key | None) -> TokenBucket:
        if key is None:
            return self._limiter.bucket_of_address(request.client.host if request.client else "")
        return self._limiter.bucket_of_key(key.id, RateLimit(key.rate_per_second, key.burst, key.concurrency))

    def _check(self, scope: Scope, sent: str | None, key: Key | None) -> None:
        if self.keyring.path is not None:
            self._check_key(scope, sent, key)
        elif scope == "admin" and not self._open_admin:
            raise Problem(errors.ADMIN_CLOSED, NO_KEYS)

    def _check_key(self, scope: Scope, sent: str | None, key: Key | None) -> None:
        if sent is not None and key is None:
            detail = "no key of this server is the one that was sent: check it, it may have been revoked"
            raise Problem(errors.KEY_UNKNOWN, detail, headers=_challenge(error="invalid_token"))
        if scope == "read" and self._open_read:
            return
        if key is None:
            detail = f"this needs a key of scope {scope}: send it as `Authorization: Bearer gsk_…`"
            raise Problem(errors.KEY_MISSING, detail, headers=_challenge())
        if not key.allows(scope):
            detail = f"this needs the scope {scope}, and key {key.id} has {', '.join(key.scopes)}: use another key"
            headers = _challenge(error="insufficient_scope", scope=scope)
            raise Problem(errors.SCOPE_MISSING, detail, headers=headers, scope=scope)


def _check_restrictions(key: Key, request: Request) -> None:
    if key.is_expired(time.time()):
        detail = f"key {key.id} was good until {key.expires_at}: ask for a new one"
        raise Problem(errors.KEY_EXPIRED, detail, headers=_challenge(error="invalid_token"))
    route = f"{request.method} {request.scope['route'].path_format}"
    if not key.opens(route):
        opened = ", ".join(key.routes or ())
        detail = f"key {key.id} opens {opened} and not {route}: use another key"
        raise Problem(errors.KEY_RESTRICTED, detail, headers=_challenge(error="insufficient_scope"))


def _challenge(**particulars: str) -> dict[str, str]:
    """The header of RFC 6750, which every 401 must have."""
    parts = ", ".join(f'{name}="{value}"' for name, value in {"realm": "gemserve", **particulars}.items())
    return {"WWW-Authenticate": f"Bearer {parts}"}


def _key_sent(request: Request) -> str | None:
    scheme, _, text = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return text.strip()
    return request.headers.get("x-api-key")


def _rate_limited(bucket: TokenBucket, wait: float) -> Problem:
    limit = bucket.limit
    rate = f"{limit.per_second:g} requests a second, and {limit.capacity:g} at once"
    detail = f"you may send {rate}: wait {wait:.2g} seconds"
    return Problem(errors.RATE_LIMITED, detail, headers={"Retry-After": str(math.ceil(wait))})
