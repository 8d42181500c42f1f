"""Headers of every answer, which tell browsers what not to do with it.

An answer of the API is data: a browser that is led to one runs, frames and keeps nothing of it. The two pages, / and
/docs, take what they need from this server alone, without scripts or styles written into them.
"""

from starlette.datastructures import MutableHeaders

__all__ = ["ALWAYS", "API", "protect"]

ALWAYS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
}
API = ALWAYS | {
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cache-Control": "no-store",
}
PAGE = ALWAYS | {
    "Content-Security-Policy": (
        "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; form-action 'self';"
        " frame-ancestors 'none'"
    ),
    "Cache-Control": "no-cache",
}
# What pages load may be kept for as long as the route that serves it says.
ASSET = ALWAYS | {"Content-Security-Policy": API["Content-Security-Policy"]}
NOT_MODIFIED = 304
ASSETS = ("text/css", "text/javascript", "application/javascript", "image/", "font/", "application/manifest+json")


def raw(headers: dict[str, str]) -> list[tuple[bytes, bytes]]:
    """As ASGI wants them; made once, because every answer has them."""
    return [(name.lower().encode(), value.encode()) for name, value in headers.items()]


RAW_API, RAW_PAGE, RAW_ASSET = raw(API), raw(PAGE), raw(ASSET)


def protect(headers: MutableHeaders, status: int) -> None:
    """Adds what an answer of this Content-Type needs and its route did not set itself.

    To "not modified" nothing: a browser would put it over the headers that it keeps with the page.
    """
    if status == NOT_MODIFIED:
        return
    kind = headers.get("content-type", "")
    added = RAW_PAGE if kind.startswith("text/html") else RAW_ASSET if kind.startswith(ASSETS) else RAW_API
    there = {name for name, _ in headers.raw}
    headers.raw.extend(header for header in added if header[0] not in there)
