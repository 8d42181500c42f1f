"""What operators ask: /health/live, /health/ready, /metrics and /version.

Probes and scrapers add parameters of their own, so the first three ignore those that they do not know.
"""

from importlib.metadata import version

from fastapi import APIRouter, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from server.api.dependencies import DeploymentsDep, HealthDep
from server.api.schemas.operations import ReadyBody, VersionBody
from server.api.schemas.requests import no_parameters
from server.api.schemas.responses import json_response, problems
from server.core import errors
from server.core.errors import Problem

__all__ = ["router"]

router = APIRouter(tags=["operations"])


@router.get("/health/live")
async def live() -> dict[str, str]:
    """The process answers."""
    return {"status": "alive"}


@router.get("/health/ready", response_model=ReadyBody, responses=problems(503))
async def ready(health: HealthDep) -> Response:
    """The engine can answer. Without Redis the server is ready, but `degraded`: answers do not know their users."""
    readiness = await health.readiness()
    if not readiness.ready:
        wrong = next(check for check in readiness.checks.values() if check != "ok")
        raise Problem(errors.NOT_READY, wrong, headers=errors.RETRY_LATER, checks=readiness.checks)
    status = "degraded" if readiness.degraded else "ready"
    return json_response({"status": status, "checks": readiness.checks})


@router.get("/metrics", response_class=Response)
async def metrics() -> Response:
    """Prometheus metrics: the server's (`gemserve_…`), vLLM's (`vllm:…`) and the process's."""
    return Response(generate_latest(), headers={"Content-Type": CONTENT_TYPE_LATEST})


@router.get("/version", response_model=VersionBody, dependencies=[no_parameters()], responses=problems(422))
async def get_version(deployments: DeploymentsDep) -> Response:
    """Which model answers, over which catalog."""
    manifest, searcher = deployments.router.current.manifest, deployments.router.current.catalog.searcher
    return json_response(
        {
            "gemserve": version("gemserve"),
            "model": manifest.version,
            "engine": manifest.engine,
            "method": manifest.method,
            "base_model": manifest.base_model,
            "identifiers": manifest.identifiers,
            "created": manifest.created,
            "items": searcher.eligible.present,
            "catalog_version": searcher.snapshot.number,
        }
    )
