"""The page at /, a small shop over this API that people can try. It needs no key: the API behind it asks for one.

Its files lie in server/web as they are: no build step. `no-cache` lets browsers keep them, and ask each time whether
they have changed, so that a page never runs with another version's scripts.
"""

from pathlib import Path

from fastapi import APIRouter, Request, Response
from starlette.staticfiles import StaticFiles

__all__ = ["router"]

FILES = StaticFiles(directory=Path(__file__).parents[1] / "web")
REVALIDATED = {"Cache-Control": "no-cache"}

router = APIRouter(include_in_schema=False)


@router.api_route("/", methods=["GET", "HEAD"])
async def get_page(request: Request) -> Response:
    """The page itself."""
    return await _file("index.html", request)


@router.api_route("/static/{path:path}", methods=["GET", "HEAD"])
async def get_static(path: str, request: Request) -> Response:
    """What the page is made of."""
    return await _file(path, request)


async def _file(path: str, request: Request) -> Response:
    """Raises HTTPException 404; 304 without a body where the browser has this version already."""
    response = await FILES.get_response(path, request.scope)
    response.headers.update(REVALIDATED)
    return response
