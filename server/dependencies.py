"""What routes are given. The application's parts are made once, in its lifespan."""

from dataclasses import dataclass
from typing import Annotated, cast

from fastapi import Depends, Request

from server.deployment import Deployment
from server.health import Health
from server.intake import Intake
from server.service import Service

__all__ = ["DeploymentDep", "HealthDep", "IntakeDep", "Parts", "RequestIdDep", "ServiceDep"]


@dataclass(frozen=True, slots=True)
class Parts:
    """Of a running application, at `app.state.parts`."""

    deployment: Deployment
    service: Service
    intake: Intake
    health: Health


# All of these are coroutines: FastAPI would run plain functions in a thread, which costs more than they do.
async def parts_of(request: Request) -> Parts:
    return cast(Parts, request.app.state.parts)


PartsDep = Annotated[Parts, Depends(parts_of)]


async def deployment_of(parts: PartsDep) -> Deployment:
    return parts.deployment


async def service_of(parts: PartsDep) -> Service:
    return parts.service


async def intake_of(parts: PartsDep) -> Intake:
    return parts.intake


async def health_of(parts: PartsDep) -> Health:
    return parts.health


async def request_id_of(request: Request) -> str:
    return cast(str, request.state.request_id)


DeploymentDep = Annotated[Deployment, Depends(deployment_of)]
ServiceDep = Annotated[Service, Depends(service_of)]
IntakeDep = Annotated[Intake, Depends(intake_of)]
HealthDep = Annotated[Health, Depends(health_of)]
RequestIdDep = Annotated[str, Depends(request_id_of)]
