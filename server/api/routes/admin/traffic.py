"""The traffic split: a new model can be tried on some users before it is activated for all."""

import time
from collections.abc import Awaitable

from fastapi import APIRouter, Request, Response

from server.api.dependencies import DeploymentsDep, ModelsDep, RequestIdDep, require
from server.api.routes.admin.models import published
from server.api.schemas.admin.models import TrafficBody, TrafficParameters
from server.api.schemas.requests import body_of, no_parameters, read_model
from server.api.schemas.responses import json_response, problems
from server.core import errors
from server.core.errors import Problem
from server.serving.manager import DeploymentManager

__all__ = ["router"]

router = APIRouter(
    prefix="/admin/traffic",
    tags=["models"],
    dependencies=[require("admin"), no_parameters()],
    responses=problems(403, 409, 422, 500, 503),
)


@router.put(
    "", response_model=TrafficBody, openapi_extra=body_of(TrafficParameters), responses=problems(400, 404, 413, 415)
)
async def share_requests(
    request: Request, deployments: DeploymentsDep, models: ModelsDep, request_id: RequestIdDep
) -> Response:
    """Has versions share the requests by these weights, the same user always with the same one.

    Versions that are not loaded yet are loaded first. The split holds in every server on the same Redis, and after a
    restart, until it is changed or a version is activated.
    """
    weights = (await read_model(request, TrafficParameters)).weights
    unknown = sorted(weights.keys() - set(await published(deployments)))
    if unknown:
        raise Problem(errors.MODEL_NOT_FOUND, f"no bundle is named {unknown[0]!r}: GET /admin/models lists them")
    return await _changed(deployments, models.share(weights), request_id)


@router.delete("", response_model=TrafficBody)
async def end_sharing(deployments: DeploymentsDep, models: ModelsDep, request_id: RequestIdDep) -> Response:
    """Has the current version of every server answer alone again. Harmless when it does."""
    return await _changed(deployments, models.end(), request_id)


async def _changed(deployments: DeploymentManager, change: Awaitable[None], request_id: str) -> Response:
    started = time.perf_counter()
    await change
    took_ms = round((time.perf_counter() - started) * 1000, 1)
    return json_response({"request_id": request_id, "traffic": deployments.router.table.weights, "took_ms": took_ms})
