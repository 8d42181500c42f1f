"""The models: which bundles are published, which one is served, and the activation of another."""

import asyncio
from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Path, Response

from catalog.bundle.report import BundleFacts
from catalog.errors import BundleError
from server.api.dependencies import DeploymentsDep, ModelsDep, RequestIdDep, require
from server.api.schemas.admin.models import ActivationBody, ManifestBody, ModelBody, ModelsBody
from server.api.schemas.requests import no_parameters
from server.api.schemas.responses import json_response, problems
from server.core import errors
from server.core.errors import Problem
from server.serving.manager import DeploymentManager
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
            "versions": await published(deployments),
            "traffic": table.weights,
        }
    )


@router.get("/{version}", response_model=ModelBody, responses=problems(404))
async def get_model(
    version: Annotated[str, Path(max_length=256)], deployments: DeploymentsDep, models: ModelsDep
) -> Response:
    """One bundle: how it was evaluated beside the baselines, and how far it is where it is about to be served."""
    await _check_published(version, deployments)
    try:
        facts = await asyncio.to_thread(deployments.facts, version)
    except BundleError as error:
        raise Problem(errors.BUNDLE_UNREADABLE, str(error)) from error
    step, failure = deployments.log.step_of(version), deployments.log.failure_of(version)
    return json_response(
        {
            "version": version,
            "role": _role(version, deployments, models.previous),
            "weight": deployments.router.table.weights.get(version),
            "rollout": None if step is None else asdict(step),
            "failure": None if failure is None else asdict(failure),
            **_shown(facts),
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
    await _check_published(version, deployments)
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


async def published(deployments: DeploymentManager) -> list[str]:
    """The versions of the published bundles. Raises Problem where their folder or store cannot be looked at."""
    try:
        return await asyncio.to_thread(deployments.versions)
    except BundleError as error:
        raise Problem(errors.BUNDLE_UNREADABLE, str(error)) from error


async def _check_published(version: str, deployments: DeploymentManager) -> None:
    if version not in await published(deployments):
        raise Problem(errors.MODEL_NOT_FOUND, f"no bundle is named {version!r}: GET /admin/models lists them")


def _role(version: str, deployments: DeploymentManager, previous: str | None) -> str | None:
    table = deployments.router.table
    if version == table.current.value.version:
        return "current"
    if version in table.weights:
        return "sharing"
    return "previous" if version == previous else None


def _shown(facts: BundleFacts) -> dict[str, Any]:
    manifest, golden = facts.manifest, facts.golden
    return {
        "manifest": manifest.model_dump(include=set(ManifestBody.model_fields), mode="json"),
        "report": None if facts.report is None else asdict(facts.report),
        "golden": None
        if golden is None
        else {
            "queries": len(golden.queries),
            "width": golden.width,
            "normalize": golden.normalize,
            "tolerance": golden.tolerance,
        },
    }
