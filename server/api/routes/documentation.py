"""/docs: the API to read and to try, without anything from other servers.

Swagger UI comes from the package fastapi-swagger, which ships its files; the page and its few lines of script are ours,
because Content-Security-Policy forbids the script that FastAPI's own page has inside of it.
"""

from pathlib import Path

from fastapi import APIRouter, Request, Response
from starlette.staticfiles import StaticFiles

__all__ = ["router"]

FILES = StaticFiles(directory=Path(__file__).parents[1] / "static/swagger", packages=[("fastapi_swagger", "resources")])
REVALIDATED = {"Cache-Control": "no-cache"}

router = APIRouter(include_in_schema=False)


@router.get("/docs")
async def get_documentation(request: Request) -> Response:
    """The page."""
    return await get_asset("index.html", request)


@router.get("/docs/assets/{path:path}")
async def get_asset(path: str, request: Request) -> Response:
    """What the page is made of. Raises HTTPException 404."""
    response = await FILES.get_response(path, request.scope)
    response.headers.update(REVALIDATED)
    return response
