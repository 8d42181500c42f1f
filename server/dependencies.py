"""What routes are given. The application's parts are made once, in its lifespan."""

from dataclasses import dataclass
from typing import Annotated, cast

from fastapi import Depends, Request

from server import errors
from server.deployments import Deployments
from server.errors import Problem
from server.health import Health
from server.intake import Intake
from server.service import Service

__all__ = ["DeploymentsDep", "HealthDep", "IntakeDep", "Parts", "RequestIdDep", "ServiceDep", "require_admin"]


@dataclass(frozen=True, slots=True)
class Parts:
    """Of a running application, at `app.state.parts`."""

    deployments: Deployments
    service: Service
    intake: Intake
    health: Health
    open_admin: bool


# All of these are coroutines: FastAPI would run plain functions in a thread, which costs more than they do.
async def parts_of(request: Request) -> Parts:
    return cast(Parts, request.app.state.parts)


PartsDep = Annotated[Parts, Depends(parts_of)]


async def deployments_of(parts: PartsDep) -> Deployments:
    return parts.deployments


async def service_of(parts: PartsDep) -> Service:
    return parts.service


async def intake_of(parts: PartsDep) -> Intake:
    return parts.intake


async def health_of(parts: PartsDep) -> Health:
    return parts.health


async def request_id_of(request: Request) -> str:
    return cast(str, request.state.request_id)


async def require_admin(parts: PartsDep) -> None:
    """Raises Problem unless the server lets items and models be changed."""
    if not parts.open_admin:
        detail = (
            "this server does not let items and models be changed: start it with --open-admin to allow it to everybody"
        )
        raise Problem(errors.ADMIN_CLOSED, detail)


DeploymentsDep = Annotated[Deployments, Depends(deployments_of)]
ServiceDep = Annotated[Service, Depends(service_of)]
IntakeDep = Annotated[Intake, Depends(intake_of)]
HealthDep = Annotated[Health, Depends(health_of)]
RequestIdDep = Annotated[str, Depends(request_id_of)]
