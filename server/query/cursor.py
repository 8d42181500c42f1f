"""Cursors: where an answer ended, so that the next one goes on without repeating an item.

A cursor names the items already shown, and the next page is the best of all others; so it stays right while the
catalog changes or another model is activated, and the server keeps nothing. It is signed: what is in it counts as if
this server said it. Servers that share requests must share the secret, else each takes the others' cursors for damaged.

    cursor = base64url(HMAC-SHA256[:16] · content); content = JSON [issued s, fingerprint, thread, [item ids]], deflated
    where that is shorter
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets
import time
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import orjson

from server.core import errors
from server.core.errors import Problem
from server.query.types import Query

__all__ = ["MAX_SHOWN", "MAX_URL_CURSOR", "CursorCodec", "Page"]

MAX_SHOWN = 1_000
MAX_URL_CURSOR = 12_288
"""Characters of a cursor that is to come back in a URL, of the 16,384 bytes that one may have
(api/transport/protocol.py)."""

LIFETIME_SECONDS = 3_600
SIGNATURE_BYTES = 16
WORTH_DEFLATING = 512  # bytes; below, it takes longer to begin than it saves
JSON_BEGINS = b"["


@dataclass(frozen=True, slots=True)
class Page:
    """shown: ids of all items on the pages before. first_request: the request id of the first page."""

    shown: tuple[str, ...]
    first_request: str


class CursorCodec:
    """Reads cursors and writes them."""

    def __init__(self, secret: str | None, clock: Callable[[], float] = time.time) -> None:
        """secret: None makes one, for this process alone. clock: seconds."""
        self._key = secrets.token_bytes(32) if secret is None else secret.encode()
        self._clock = clock

    def decode(self, query: Query) -> Page:
        """The page that is asked for. Raises Problem for a cursor that is damaged, too old, or of another query."""
        if query.cursor is None:
            return Page((), query.request_id)
        issued, fingerprint, thread, shown = orjson.loads(self._content(query.cursor))
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
        content = orjson.dumps([int(self._clock()), _fingerprint(query), page.first_request, shown])
        if len(content) >= WORTH_DEFLATING:
            content = zlib.compress(content)
        cursor = base64.urlsafe_b64encode(self._signature(content) + content).rstrip(b"=").decode()
        fits = query.max_cursor is None or len(cursor) <= query.max_cursor
        return cursor if fits else None

    def _content(self, cursor: str) -> bytes:
        try:
            signed = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        except (binascii.Error, ValueError) as error:
            raise _damaged() from error
        signature, content = signed[:SIGNATURE_BYTES], signed[SIGNATURE_BYTES:]
        if not hmac.compare_digest(signature, self._signature(content)):
            raise _damaged()
        return content if content.startswith(JSON_BEGINS) else zlib.decompress(content)

    def _signature(self, content: bytes) -> bytes:
        return hmac.digest(self._key, content, "sha256")[:SIGNATURE_BYTES]


def _fingerprint(query: Query) -> str:
    asked = orjson.dumps(query.identity)
    return hashlib.blake2b(asked, digest_size=12).hexdigest()


def _damaged() -> Problem:
    detail = (
        "cursor: it is not one of this server's, or damaged: send `next_cursor` as it came, or ask for the first page"
    )
    return Problem(errors.INVALID_CURSOR, detail)
