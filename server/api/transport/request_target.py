"""What a request line looks like whose address was not encoded: people type spaces, umlauts and quotes into one."""

from __future__ import annotations

import re
from urllib.parse import quote

__all__ = ["unencoded_address"]

MAX_SHOWN = 100  # characters of the address that a message repeats
REQUEST_LINE = re.compile(
    rb"(?:^|\n)(?:GET|HEAD|POST|PUT|PATCH|DELETE|OPTIONS) (/[^\r\n]*?)(?: HTTP/1\.[01])?\r?(?:\n|$)"
)
FORBIDDEN = re.compile(rb"[^!-~]")  # what no address has: spaces, control characters, and all that is not ASCII
SAFE = "/?&=%:@!$'()*+,;~-._#"


def unencoded_address(received: bytes) -> str | None:
    """How the address of the last request line in `received` is written right; None where nothing is wrong with it."""
    lines = REQUEST_LINE.findall(received)
    if not lines or not FORBIDDEN.search(lines[-1]):
        return None
    address = quote(lines[-1][: MAX_SHOWN * 2], safe=SAFE)
    shown = address[:MAX_SHOWN].removesuffix("%")
    return shown if len(address) <= MAX_SHOWN else f"{shown}…"
