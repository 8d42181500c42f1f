"""What routes are given. The application's parts are made once, in its lifespan."""

from dataclasses import dataclass
from typing import Annotated, Any, cast

from fastapi import Depends, Request, Security
from fastapi.openapi.models import HTTPBearer
from fastapi.security.base import SecurityBase

from server.api.batch import Batches
from server.api.event_ingest import EventIngestor
from server.api.health import Health
from server.auth.api_key import Scope
from server.auth.authorizer import Access, Admission
from server.query.service import Service
from server.serving.catalog_sync import CatalogSync
from server.serving.manager import Deployments
from server.storage.protocol import HistoryStore

__all__ = [
    "AccessDep",
    "AdmissionDep",
    "BatchesDep",
    "DeploymentsDep",
    "EditsDep",
    "HealthDep",
    "HistoryDep",
    "IntakeDep",
    "Parts",
    "RequestIdDep",
    "ServiceDep",
    "require",
]


@dataclass(frozen=True, slots=True)
class Parts:
    """Of a running application, at `app.state.parts`."""

    deployments: Deployments
    service: Service
    intake: EventIngestor
    health: Health
    access: Access
    history: HistoryStore
    edits: CatalogSync
    batches: Batches


# All of these are coroutines: FastAPI would run plain functions in a thread, which costs more than they do.
async def parts_of(request: Request) -> Parts:
    return cast(Parts, request.app.state.parts)


PartsDep = Annotated[Parts, Depends(parts_of)]


async def deployments_of(parts: PartsDep) -> Deployments:
    return parts.deployments


async def service_of(parts: PartsDep) -> Service:
    return parts.service


async def intake_of(parts: PartsDep) -> EventIngestor:
    return parts.intake


async def health_of(parts: PartsDep) -> Health:
    return parts.health


async def batches_of(parts: PartsDep) -> Batches:
    return parts.batches


async def history_of(parts: PartsDep) -> HistoryStore:
    return parts.history


async def edits_of(parts: PartsDep) -> CatalogSync:
    return parts.edits


async def request_id_of(request: Request) -> str:
    return cast(str, request.state.request_id)


class Needed(SecurityBase):
    """A scope that a route needs; being a security scheme, it is in the OpenAPI document too."""

    scheme_name = "key"
    model = HTTPBearer(description="`gsk_…`, as `python -m server.cli.keys create` printed it")

    def __init__(self, scope: Scope) -> None:
        self.scope = scope

    async def __call__(self, request: Request) -> None:
        parts: Parts = request.app.state.parts
        parts.access.admit(request, self.scope)


def require(scope: Scope) -> Any:
    """For `dependencies=` of a router or a route: only callers whom server/auth/authorizer.py admits get there.

    Every route has this once, but for what operators and browsers ask first; tests/server/auth/test_authorizer.py
    holds it.
    """
    return Security(Needed(scope), scopes=[scope])


async def admission_of(request: Request) -> Admission:
    return cast(Admission, request.state.admission)


async def access_of(parts: PartsDep) -> Access:
    return parts.access


DeploymentsDep = Annotated[Deployments, Depends(deployments_of)]
BatchesDep = Annotated[Batches, Depends(batches_of)]
ServiceDep = Annotated[Service, Depends(service_of)]
IntakeDep = Annotated[EventIngestor, Depends(intake_of)]
AdmissionDep = Annotated[Admission, Depends(admission_of)]
AccessDep = Annotated[Access, Depends(access_of)]
HistoryDep = Annotated[HistoryStore, Depends(history_of)]
EditsDep = Annotated[CatalogSync, Depends(edits_of)]
HealthDep = Annotated[Health, Depends(health_of)]
RequestIdDep = Annotated[str, Depends(request_id_of)]
