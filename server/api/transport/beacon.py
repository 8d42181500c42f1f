"""Bodies as `navigator.sendBeacon` sends them: JSON that is called text, a form, or nothing at all.

A browser sends such a body to any server, without asking it first as it does for `application/json`. So it is read only
where the page is this server's own, or one of an origin that the operator named (`--cors-origins`), or else every page
on the internet could write to a server that its visitor can reach.
"""

from __future__ import annotations

from collections.abc import Collection
from urllib.parse import urlsplit

from starlette.requests import Request

from server.core import errors
from server.core.errors import Problem

__all__ = ["BEACON_TYPES", "check_page"]

BEACON_TYPES = ("text/plain", "application/x-www-form-urlencoded", "")
"""Media types; the last: none."""


def check_page(request: Request, origins: Collection[str]) -> None:
    """Raises Problem for a request of a browser for a page of neither these origins nor the server's own."""
    origin, site = request.headers.get("origin"), request.headers.get("sec-fetch-site")
    if site == "same-origin" or "*" in origins or origin in origins:
        return
    if origin is None and site in {None, "none"}:
        return
    if origin is not None and _is_own(origin, request.headers.get("host", "")):
        return
    detail = (
        "pages of other origins send events as application/json, or have their origin named by --cors-origins: only"
        " then may they send them as a beacon does"
    )
    raise Problem(errors.UNSUPPORTED_MEDIA_TYPE, detail)


def _is_own(origin: str, host: str) -> bool:
    try:
        return bool(host) and urlsplit(origin).netloc.lower() == host.lower()
    except ValueError:
        return False
