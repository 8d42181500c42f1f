"""Who may use the server: the keys there are, a new one, and one less."""

import asyncio
from pathlib import Path as FilePath
from typing import Annotated, Any

from fastapi import APIRouter, Path, Request, Response

from catalog.data.items import Items
from catalog.errors import FilterError
from catalog.filters import parse
from catalog.nearest import nearest_name
from server.api.dependencies import AuthorizerDep, DeploymentsDep, RequestIdDep, require
from server.api.openapi.document import routes_of
from server.api.schemas.admin.keys import KeyBody, MintedKeyBody, NewKeyBody, RevokedKeyBody
from server.api.schemas.requests import body_of, no_parameters, read_model
from server.api.schemas.responses import json_response, problems
from server.auth import key_file
from server.auth.api_key import Key, iso, mint
from server.auth.authorizer import Authorizer
from server.auth.key_file import KeyFileError, LastKey, NoSuchKey
from server.core import errors
from server.core.errors import Problem

__all__ = ["router"]

router = APIRouter(
    prefix="/admin/keys",
    tags=["keys"],
    dependencies=[require("admin"), no_parameters()],
    responses=problems(409, 422, 500),
)


@router.get("", response_model=list[KeyBody])
async def list_keys(authorizer: AuthorizerDep) -> Response:
    """The keys, the newest last; never a secret."""
    return json_response([_shown(key, authorizer) for key in authorizer.keyring.keys().values()])


@router.post(
    "",
    status_code=201,
    response_model=MintedKeyBody,
    openapi_extra=body_of(NewKeyBody),
    responses=problems(400, 413, 415),
)
async def create_key(
    request: Request, authorizer: AuthorizerDep, deployments: DeploymentsDep, request_id: RequestIdDep
) -> Response:
    """Makes a key. The answer is the only place that ever shows it."""
    path = _file_of(authorizer)
    wanted = await read_model(request, NewKeyBody)
    await _check_restrictions(wanted, request, deployments.router.current.catalog.searcher.items)
    try:
        key, text = mint(
            name=wanted.name,
            scopes=tuple(wanted.scopes),
            rate_per_second=wanted.rate_per_second,
            burst=wanted.burst,
            concurrency=wanted.concurrency,
            expires_at=wanted.expires_at,
            filter_by=wanted.filter_by,
            routes=None if wanted.routes is None else tuple(dict.fromkeys(wanted.routes)),
        )
    except ValueError as error:
        raise _refused("filter_by", error) from error
    try:
        await asyncio.to_thread(key_file.add, path, key, create=False)
    except KeyFileError as error:
        raise Problem(errors.NO_KEYS_FILE, str(error)) from error
    authorizer.keyring.refresh()
    return json_response({"request_id": request_id, "key": text, **_shown(key, authorizer)}, status=201)


@router.delete("/{key_id}", response_model=RevokedKeyBody, responses=problems(404))
async def revoke_key(
    key_id: Annotated[str, Path(max_length=256)], authorizer: AuthorizerDep, request_id: RequestIdDep
) -> Response:
    """Takes a key away, on every server of the same file within a second. The last key of scope admin stays."""
    path = _file_of(authorizer)
    try:
        gone = await asyncio.to_thread(key_file.revoke, path, key_id, keep_admin=True)
    except NoSuchKey as error:
        raise Problem(errors.KEY_NOT_FOUND, f"{error}: GET /admin/keys lists them") from error
    except LastKey as error:
        raise Problem(errors.LAST_KEY, str(error)) from error
    except KeyFileError as error:
        raise Problem(errors.NO_KEYS_FILE, str(error)) from error
    authorizer.keyring.refresh()
    return json_response({"request_id": request_id, "id": gone.id, "name": gone.name})


async def _check_restrictions(wanted: NewKeyBody, request: Request, items: Items) -> None:
    """Raises Problem for a filter that does not fit the items, and for a route that does not exist."""
    if wanted.filter_by is not None:
        try:
            await asyncio.to_thread(parse(wanted.filter_by).mask, items)
        except FilterError as error:
            raise _refused("filter_by", error) from error
    if wanted.routes is not None:
        known = routes_of(request.app.openapi())
        for route in wanted.routes:
            if route not in known:
                near = nearest_name(route, known)
                hint = f"did you mean {near}?" if near is not None else "/openapi.json lists them"
                raise _refused("routes", f"{route[:100]} is no route of this server: {hint}")


def _refused(field: str, reason: object) -> Problem:
    return errors.invalid_parameter(field, "unknown_restriction", str(reason))


def _file_of(authorizer: Authorizer) -> FilePath:
    if authorizer.keyring.path is None:
        raise Problem(errors.NO_KEYS_FILE, "this server keeps no keys: start it with --keys FILE")
    return authorizer.keyring.path


def _shown(key: Key, authorizer: Authorizer) -> dict[str, Any]:
    used = authorizer.last_used.get(key.id)
    return {
        "id": key.id,
        "name": key.name,
        "scopes": list(key.scopes),
        "created": key.created,
        "rate_per_second": key.rate_per_second,
        "burst": key.burst,
        "concurrency": key.concurrency,
        "expires_at": key.expires_at,
        "filter_by": key.filter_by,
        "routes": None if key.routes is None else list(key.routes),
        "last_used": None if used is None else iso(used),
    }
