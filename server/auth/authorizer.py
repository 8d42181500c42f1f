"""Who may do what: finds a request's key, holds its caller to their limits, and asks for the scope that a route needs.

| keys there are | read, write | admin |
|---|---|---|
| none | open, unless `require_keys` | closed, unless `open_admin` |
| some | a key of the scope; reading is open with `open_read` | a key of scope admin |
"""

from __future__ import annotations

import asyncio
import math
import time
from dataclasses import dataclass

from fastapi import Request

from server.auth.api_key import Key, Scope
from server.auth.keyring import Keyring
from server.auth.rate_limit import Limits, RateLimit, TokenBucket
from server.core import errors
from server.core.errors import Problem

__all__ = ["Access", "Admission"]

NO_KEYS = (
    "this server has no keys, so nobody may administer it: make one with `gemserve keys create` and start it"
    " with --keys FILE, or allow it to everybody with --open-admin"
)


@dataclass(frozen=True, slots=True)
class Admission:
    """A request that was let in, at `request.state.admission`. The middleware ends it with the answer."""

    meter: TokenBucket

    def end(self) -> None:
        self.meter.leave()

    async def pace(self) -> None:
        """Waits until the caller's rate allows one more, for requests that ask for many things."""
        while wait := self.meter.take():
            await asyncio.sleep(wait)


class Access:
    """`admit` is asked once for a request, by `require` in server/api/dependencies.py."""

    def __init__(
        self, keyring: Keyring, limits: Limits, *, open_read: bool, open_admin: bool, require_keys: bool
    ) -> None:
        self.keyring = keyring
        self.last_used: dict[str, float] = {}  # by key id, Unix seconds
        self._limits = limits
        self._open_read = open_read
        self._open_admin = open_admin
        self._require_keys = require_keys

    def admit(self, request: Request, scope: Scope) -> None:
        """Raises Problem: 429 over the caller's limits, 401 without a key that is needed, 403 without its scope."""
        state = request.state
        sent = _key_sent(request)
        key = self.keyring.find(sent) if sent is not None else None
        if key is not None:
            state.key = key.id
            self.last_used[key.id] = time.time()
        meter = self._meter(request, key)
        if wait := meter.take():
            raise _limited(meter, wait)
        self._check(scope, sent, key)
        if not meter.enter():
            detail = f"{meter.under_way} of your requests are under way, which is the most: wait for one to end"
            raise Problem(errors.TOO_MANY_CONCURRENT, detail, headers={"Retry-After": "1"})
        state.admission = Admission(meter)

    def _meter(self, request: Request, key: Key | None) -> TokenBucket:
        if key is None:
            return self._limits.of_address(request.client.host if request.client else "")
        return self._limits.of_key(key.id, RateLimit(key.rate_per_second, key.burst, key.concurrency))

    def _check(self, scope: Scope, sent: str | None, key: Key | None) -> None:
        if self.keyring.keys():
            self._check_key(scope, sent, key)
        elif scope == "admin":
            if not self._open_admin:
                raise Problem(errors.ADMIN_CLOSED, NO_KEYS)
        elif self._require_keys:
            self._check_key(scope, sent, key)

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


def _challenge(**particulars: str) -> dict[str, str]:
    """RFC 6750's, which every 401 must have."""
    parts = ", ".join(f'{name}="{value}"' for name, value in {"realm": "gemserve", **particulars}.items())
    return {"WWW-Authenticate": f"Bearer {parts}"}


def _key_sent(request: Request) -> str | None:
    scheme, _, text = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return text.strip()
    return request.headers.get("x-api-key")


def _limited(meter: TokenBucket, wait: float) -> Problem:
    allowance = meter.allowance
    rate = f"{allowance.per_second:g} requests a second, and {allowance.capacity:g} at once"
    detail = f"you may send {rate}: wait {wait:.2g} seconds"
    return Problem(errors.RATE_LIMITED, detail, headers={"Retry-After": str(math.ceil(wait))})
