"""What routes are given: the application's parts, which its lifespan makes once, and what is known of a request."""

from dataclasses import dataclass
from typing import Annotated, Any, cast

from fastapi import Depends, Request, Security
from fastapi.openapi.models import HTTPBearer
from fastapi.security.base import SecurityBase

from server.analytics.collector import Collector
from server.api.batch import BatchRunner
from server.api.event_ingest import EventIngestor
from server.api.health import Health
from server.auth.api_key import Scope
from server.auth.authorizer import Admission, Authorizer
from server.query.listing.suggestions import Suggestor
from server.query.service import Service
from server.serving.manager import DeploymentManager, ModelControl
from server.serving.sync.catalog_sync import CatalogSync
from server.serving.sync.override_sync import OverrideSync
from server.serving.sync.synonym_sync import SynonymSync
from server.storage.protocol import AuditLog, HistoryStore

__all__ = [
    "AdmissionDep",
    "AuditLogDep",
    "AuthorizerDep",
    "BatchRunnerDep",
    "CatalogSyncDep",
    "CollectorDep",
    "CorsOriginsDep",
    "DeploymentsDep",
    "EventIngestorDep",
    "HealthDep",
    "HistoryDep",
    "ModelsDep",
    "OverrideSyncDep",
    "Parts",
    "RequestIdDep",
    "ServiceDep",
    "SuggestorDep",
    "SynonymSyncDep",
    "require",
]


@dataclass(frozen=True, slots=True)
class Parts:
    """The parts of a running application, at `app.state.parts`."""

    deployments: DeploymentManager
    service: Service
    event_ingestor: EventIngestor
    health: Health
    authorizer: Authorizer
    history: HistoryStore
    catalog_sync: CatalogSync
    models: ModelControl
    synonym_sync: SynonymSync
    override_sync: OverrideSync
    batch_runner: BatchRunner
    audit_log: AuditLog
    collector: Collector | None
    suggestor: Suggestor
    cors_origins: frozenset[str]


# All of these are coroutines: FastAPI would run plain functions in a thread, which costs more than they do.
async def get_parts(request: Request) -> Parts:
    return cast(Parts, request.app.state.parts)


PartsDep = Annotated[Parts, Depends(get_parts)]


async def get_deployments(parts: PartsDep) -> DeploymentManager:
    return parts.deployments


async def get_service(parts: PartsDep) -> Service:
    return parts.service


async def get_event_ingestor(parts: PartsDep) -> EventIngestor:
    return parts.event_ingestor


async def get_health(parts: PartsDep) -> Health:
    return parts.health


async def get_batch_runner(parts: PartsDep) -> BatchRunner:
    return parts.batch_runner


async def get_cors_origins(parts: PartsDep) -> frozenset[str]:
    return parts.cors_origins


async def get_history(parts: PartsDep) -> HistoryStore:
    return parts.history


async def get_catalog_sync(parts: PartsDep) -> CatalogSync:
    return parts.catalog_sync


async def get_models(parts: PartsDep) -> ModelControl:
    return parts.models


async def get_synonym_sync(parts: PartsDep) -> SynonymSync:
    return parts.synonym_sync


async def get_override_sync(parts: PartsDep) -> OverrideSync:
    return parts.override_sync


async def get_collector(parts: PartsDep) -> Collector | None:
    return parts.collector


async def get_suggestor(parts: PartsDep) -> Suggestor:
    return parts.suggestor


async def get_audit_log(parts: PartsDep) -> AuditLog:
    return parts.audit_log


async def get_authorizer(parts: PartsDep) -> Authorizer:
    return parts.authorizer


async def get_request_id(request: Request) -> str:
    return cast(str, request.state.request_id)


async def get_admission(request: Request) -> Admission:
    return cast(Admission, request.state.admission)


class RequiredScope(SecurityBase):
    """The scope that a route needs. It is a security scheme of FastAPI's, so it is in the OpenAPI document too."""

    scheme_name = "key"
    model = HTTPBearer(description="`gsk_…`, as `gemserve keys create` printed it")

    def __init__(self, scope: Scope) -> None:
        self.scope = scope

    async def __call__(self, request: Request) -> None:
        parts: Parts = request.app.state.parts
        await parts.authorizer.admit(request, self.scope)
        request.state.scope = self.scope


def require(scope: Scope) -> Any:
    """For `dependencies=` of a router or a route: only callers whom server/auth/authorizer.py admits get there.

    Every route has this once, but for what operators and browsers ask first; tests/server/auth/test_authorizer.py
    holds it.
    """
    return Security(RequiredScope(scope), scopes=[scope])


CollectorDep = Annotated[Collector | None, Depends(get_collector)]
AuditLogDep = Annotated[AuditLog, Depends(get_audit_log)]
AuthorizerDep = Annotated[Authorizer, Depends(get_authorizer)]
AdmissionDep = Annotated[Admission, Depends(get_admission)]
BatchRunnerDep = Annotated[BatchRunner, Depends(get_batch_runner)]
CatalogSyncDep = Annotated[CatalogSync, Depends(get_catalog_sync)]
CorsOriginsDep = Annotated[frozenset[str], Depends(get_cors_origins)]
DeploymentsDep = Annotated[DeploymentManager, Depends(get_deployments)]
EventIngestorDep = Annotated[EventIngestor, Depends(get_event_ingestor)]
HealthDep = Annotated[Health, Depends(get_health)]
HistoryDep = Annotated[HistoryStore, Depends(get_history)]
ModelsDep = Annotated[ModelControl, Depends(get_models)]
OverrideSyncDep = Annotated[OverrideSync, Depends(get_override_sync)]
RequestIdDep = Annotated[str, Depends(get_request_id)]
ServiceDep = Annotated[Service, Depends(get_service)]
SuggestorDep = Annotated[Suggestor, Depends(get_suggestor)]
SynonymSyncDep = Annotated[SynonymSync, Depends(get_synonym_sync)]
