"""The page at /, a small shop over this API that people can try. It needs no key: the API behind it asks for one.

Its files lie in server/api/static/shop as they are: no build step. Their addresses carry a digest of all of them, so
browsers keep
them for good: a page that is opened again asks for index.html alone, and never runs with another version's scripts.
"""

from hashlib import sha256
from pathlib import Path

from fastapi import APIRouter, HTTPException, Request, Response
from fastapi.responses import HTMLResponse
from starlette.datastructures import Headers
from starlette.staticfiles import NotModifiedResponse, StaticFiles

__all__ = ["router"]

WEB = Path(__file__).parents[1] / "static/shop"
INDEX = "index.html"
FILES = StaticFiles(directory=WEB)
REVALIDATED = {"Cache-Control": "no-cache"}
KEPT = {"Cache-Control": "public, max-age=31536000, immutable"}


def digest_of(folder: Path) -> str:
    """Of the names and contents of its files."""
    digests = (f"{sha256(file.read_bytes()).hexdigest()} {file.name}\n" for file in sorted(folder.iterdir()))
    return sha256("".join(digests).encode()).hexdigest()[:16]


DIGEST = digest_of(WEB)
PAGE = (WEB / INDEX).read_text(encoding="utf-8").replace('"/static/', f'"/static/{DIGEST}/')
PAGE_HEADERS = REVALIDATED | {"ETag": f'"{DIGEST}"'}

router = APIRouter(include_in_schema=False)


@router.api_route("/", methods=["GET", "HEAD"])
async def get_page(request: Request) -> Response:
    """The page itself; 304 without a body where the browser has it already."""
    if FILES.is_not_modified(Headers(PAGE_HEADERS), request.headers):
        return NotModifiedResponse(Headers(PAGE_HEADERS))
    return HTMLResponse(PAGE, headers=PAGE_HEADERS)


@router.api_route("/static/{digest}/{path:path}", methods=["GET", "HEAD"])
async def get_static(digest: str, path: str, request: Request) -> Response:
    """What the page is made of. Raises HTTPException 404, for files of another version too."""
    if digest != DIGEST or path == INDEX:
        raise HTTPException(404)
    response = await FILES.get_response(path, request.scope)
    response.headers.update(KEPT)
    return response
