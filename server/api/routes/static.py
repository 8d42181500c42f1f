"""The pages that the server brings along, and the files they load. They need no key; the API behind them does.

/ is the shop, a small page over this API that people can try. Its files lie in server/api/static/shop as they are, with
no build step. Their addresses carry a digest of all of them, so browsers keep them for good: a page that is opened
again asks for index.html alone, and never runs with another version's scripts.

/admin is for administrators. The page tells nothing; what it shows comes over the API, with a key of scope admin. Its
files lie in the shop's folder, whose modules and styles it shares.

/docs is the API to read and to try (Swagger UI), without anything from other servers. The package fastapi-swagger ships
Swagger UI's files; the page and its few lines of script are ours, because Content-Security-Policy forbids the script
that FastAPI's own page has inside of it.

Addresses of pages may have any parameters: links carry them, and scripts read them. All that a page names is relative
to the page, so it works under any prefix of a reverse proxy.
"""

from hashlib import sha256
from pathlib import Path

from fastapi import APIRouter, HTTPException, Request, Response
from fastapi.responses import HTMLResponse, JSONResponse
from starlette.datastructures import Headers
from starlette.staticfiles import NotModifiedResponse, StaticFiles

from server.api.schemas.requests import no_parameters

__all__ = ["router"]

STATIC = Path(__file__).parents[1] / "static"
SHOP = STATIC / "shop"
INDEX = "index.html"
ADMIN_INDEX = "admin/index.html"
SHOP_FILES = StaticFiles(directory=SHOP)
SWAGGER_FILES = StaticFiles(directory=STATIC / "swagger", packages=[("fastapi_swagger", "resources")])
REVALIDATED = {"Cache-Control": "no-cache"}
KEPT = {"Cache-Control": "public, max-age=31536000, immutable"}


def digest_of(folder: Path) -> str:
    """A digest of the names and contents of all files below a folder."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    digests = (f"{sha256(file.read_bytes()).hexdigest()} {file.relative_to(folder)}\n" for file in files)
    return sha256("".join(digests).encode()).hexdigest()[:16]


DIGEST = digest_of(SHOP)
PAGES = {
    name: (SHOP / name).read_text(encoding="utf-8").replace('"static/', f'"static/{DIGEST}/')
    for name in (INDEX, ADMIN_INDEX)
}
PAGE_HEADERS = REVALIDATED | {"ETag": f'"{DIGEST}"'}

router = APIRouter(include_in_schema=False)


@router.get("/")
async def get_shop(request: Request) -> Response:
    """The shop's page; 304 without a body where the browser has it already."""
    return _page(INDEX, request)


@router.get("/admin")
async def get_admin(request: Request) -> Response:
    """The page of administrators, in the same way."""
    return _page(ADMIN_INDEX, request)


def _page(name: str, request: Request) -> Response:
    if SHOP_FILES.is_not_modified(Headers(PAGE_HEADERS), request.headers):
        return NotModifiedResponse(Headers(PAGE_HEADERS))
    return HTMLResponse(PAGES[name], headers=PAGE_HEADERS)


@router.get("/static/{digest}/{path:path}")
async def get_shop_file(digest: str, path: str, request: Request) -> Response:
    """What the shop's and the admin page load. Raises HTTPException 404, for files of another version too."""
    if digest != DIGEST or path in PAGES:
        raise HTTPException(404)
    response = await SHOP_FILES.get_response(path, request.scope)
    response.headers.update(KEPT)
    return response


@router.get("/openapi.json", dependencies=[no_parameters()])
def openapi_document(request: Request) -> JSONResponse:
    """A plain function, which runs in a thread: the first time, the document is made."""
    return JSONResponse(request.app.openapi())


@router.get("/docs")
async def get_swagger(request: Request) -> Response:
    """Swagger UI's page."""
    return await get_swagger_file(INDEX, request)


@router.get("/docs/assets/{path:path}")
async def get_swagger_file(path: str, request: Request) -> Response:
    """What Swagger UI's page loads. Raises HTTPException 404."""
    response = await SWAGGER_FILES.get_response(path, request.scope)
    response.headers.update(REVALIDATED)
    return response
