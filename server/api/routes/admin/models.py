"""The models: which bundles are published, which one is served, and the activation of another."""

from typing import Annotated

from fastapi import APIRouter, Path, Response

from server.api.dependencies import DeploymentsDep, ModelsDep, RequestIdDep, require
from server.api.schemas.admin.models import ActivationBody, ModelsBody
from server.api.schemas.requests import no_parameters
from server.api.schemas.responses import json_response, problems
from server.core import errors
from server.core.errors import Problem
from server.serving.rollout import RolloutResult

__all__ = ["router"]

router = APIRouter(
    prefix="/admin/models",
    tags=["models"],
    dependencies=[require("admin"), no_parameters()],
    responses=problems(403, 409, 422, 500, 503),
)


@router.get("", response_model=ModelsBody)
async def list_models(deployments: DeploymentsDep, models: ModelsDep) -> Response:
    """The published bundles, the newest last, which one is served, and how those that answer share the requests."""
    table = deployments.router.table
    return json_response(
        {
            "current": table.current.value.version,
            "previous": models.previous,
            "versions": deployments.versions(),
            "traffic": table.weights,
        }
    )


@router.post("/{version}/activate", response_model=ActivationBody, responses=problems(404))
async def activate(
    version: Annotated[str, Path(max_length=256)],
    deployments: DeploymentsDep,
    models: ModelsDep,
    request_id: RequestIdDep,
) -> Response:
    """Serves another bundle alone, without a failed request; answers when it does. After a restart it is served too."""
    if version not in deployments.versions():
        raise Problem(errors.MODEL_NOT_FOUND, f"no bundle is named {version!r}: GET /admin/models lists them")
    return _activated(await models.activate(version), request_id)


@router.post("/rollback", response_model=ActivationBody)
async def roll_back(models: ModelsDep, request_id: RequestIdDep) -> Response:
    """Serves the bundle that was served before the last activation."""
    return _activated(await models.roll_back(), request_id)


def _activated(result: RolloutResult, request_id: str) -> Response:
    took_ms = round(result.seconds * 1000, 1)
    return json_response(
        {"request_id": request_id, "model": result.version, "previous": result.previous, "took_ms": took_ms}
    )
