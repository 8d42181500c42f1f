"""Cursors: where an answer ended, so that the next one goes on without repeating an item.

A cursor names the items already shown, and the next page is the best of all others; so it stays right while the
catalog changes or another model is activated, and the server keeps nothing. It is signed: what is in it counts as if
this server said it. Servers that share requests must share the secret, else each takes the others' cursors for damaged.

    cursor = content . time . signature, each in base64url
    content = JSON [fingerprint, thread, [item ids]], deflated where that is shorter
    signature = HMAC-SHA256 of what stands before it
"""

from __future__ import annotations

import hashlib
import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from itsdangerous import BadData, TimestampSigner, URLSafeTimedSerializer
from itsdangerous.encoding import base64_decode, base64_encode, want_bytes

from server.core import errors
from server.core.errors import Problem
from server.core.settings import MIN_SECRET_LENGTH
from server.query.types import Query

__all__ = ["MAX_SHOWN", "MAX_URL_CURSOR", "CursorCodec", "Page"]

MAX_SHOWN = 1_000
MAX_URL_CURSOR = 12_288
"""Characters of a cursor that is to come back in a URL, of the 16,384 bytes that one may have
(api/transport/protocol.py)."""

LIFETIME_SECONDS = 3_600
SALT = b"gemserve.cursor"
"""Keeps what the same secret may sign elsewhere from being taken for a cursor."""


@dataclass(frozen=True, slots=True)
class Page:
    """shown: ids of all items on the pages before. first_request: the request id of the first page."""

    shown: tuple[str, ...]
    first_request: str


class CursorCodec:
    """Reads cursors and writes them."""

    def __init__(self, signed_with: tuple[str, ...] | None, clock: Callable[[], float] = time.time) -> None:
        """
        signed_with: secrets, the newest first. The newest signs, and cursors of all of them are read. None makes one,
            for this process alone.
        clock: seconds.

        Raises ValueError for no secret at all, or one that is too short to be one.
        """
        if signed_with is None:
            signed_with = (secrets.token_urlsafe(32),)
        if not signed_with or min(map(len, signed_with)) < MIN_SECRET_LENGTH:
            raise ValueError(f"cursors are signed with at least one secret of {MIN_SECRET_LENGTH} characters or more")
        self._clock = clock
        self._serializer = URLSafeTimedSerializer(
            list(reversed(signed_with)),  # itsdangerous signs with the last
            salt=SALT,
            serializer=orjson,
            signer=_Signer,
            signer_kwargs={"key_derivation": "hmac", "digest_method": hashlib.sha256, "clock": clock},
        )

    def decode(self, query: Query) -> Page:
        """The page that is asked for. Raises Problem for a cursor that is damaged, too old, or of another query."""
        if query.cursor is None:
            return Page((), query.request_id)
        (fingerprint, thread, shown), issued = self._content(query.cursor)
        if fingerprint != _fingerprint(query):
            detail = "cursor: it belongs to another query: repeat its other parameters as they were, or leave it out"
            raise Problem(errors.FOREIGN_CURSOR, detail)
        if self._clock() - issued > LIFETIME_SECONDS:
            detail = f"cursor: it is older than {LIFETIME_SECONDS // 60} minutes: ask for the first page again"
            raise Problem(errors.EXPIRED_CURSOR, detail)
        return Page(tuple(shown), thread)

    def next_cursor(self, query: Query, page: Page, item_ids: Sequence[str]) -> str | None:
        """For the page after this one, which shows `item_ids`; None where there is none, or room for no more."""
        shown = [*page.shown, *item_ids]
        if len(item_ids) < query.k or len(shown) >= MAX_SHOWN:
            return None
        cursor = want_bytes(self._serializer.dumps([_fingerprint(query), page.first_request, shown])).decode()
        fits = query.max_cursor is None or len(cursor) <= query.max_cursor
        return cursor if fits else None

    def _content(self, cursor: str) -> tuple[tuple[str, str, list[str]], float]:
        """What was signed, and when. The age is judged by `decode`: a server's clock may be behind another's."""
        if not cursor.isascii():
            raise _damaged()
        try:
            content, issued = self._serializer.loads(cursor, return_timestamp=True)
        except BadData as error:
            raise _damaged() from error
        return content, issued.timestamp()


class _Signer(TimestampSigner):
    """Takes its time from the codec's clock, and takes a signature only as it was spelt."""

    def __init__(self, *arguments: Any, clock: Callable[[], float], **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._clock = clock

    def get_timestamp(self) -> int:
        return int(self._clock())

    def verify_signature(self, value: str | bytes, sig: str | bytes) -> bool:
        """base64 has spare bits at its end, and its decoder passes over foreign characters: neither may be changed."""
        try:
            spelt = base64_encode(base64_decode(sig))
        except BadData:
            return False
        return spelt == sig and super().verify_signature(value, sig)


def _fingerprint(query: Query) -> str:
    asked = orjson.dumps(query.identity)
    return hashlib.blake2b(asked, digest_size=12).hexdigest()


def _damaged() -> Problem:
    detail = (
        "cursor: it is not one of this server's, or damaged: send `next_cursor` as it came, or ask for the first page"
    )
    return Problem(errors.INVALID_CURSOR, detail)
