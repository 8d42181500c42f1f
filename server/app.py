"""The application: its parts are made when it starts and closed in the opposite order when it ends."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from socket import gethostname
from typing import TYPE_CHECKING

import structlog
from fastapi import APIRouter, FastAPI
from starlette.middleware.cors import CORSMiddleware
from starlette.routing import BaseRoute

from catalog.bundle.disk import remedy
from catalog.suggestions import Screen
from server.analytics.collector import Collector
from server.api.batch import BatchRunner
from server.api.dependencies import Parts
from server.api.event_ingest import EventIngestor
from server.api.health import Health
from server.api.openapi import document
from server.api.problems import install_handlers
from server.api.routes import bulk, events, items, operations, static, users
from server.api.routes.admin import analytics, audit, fleet, keys, models, schema, traffic
from server.api.routes.answers import batch, rerank, search, shelves
from server.api.routes.curation import overrides, synonyms
from server.api.transport import root_path
from server.api.transport.audit import AuditMiddleware
from server.api.transport.compression import CompressionMiddleware
from server.api.transport.head import HeadMiddleware
from server.api.transport.middleware import REQUEST_ID, ProblemMiddleware, RequestContextMiddleware
from server.api.transport.request_body import RequestBodyMiddleware
from server.auth.authorizer import Authorizer
from server.auth.keyring import Keyring
from server.auth.rate_limit import RateLimit, RateLimiter
from server.core.errors import HistoryUnavailable, StartupError, WrongRedis
from server.core.settings import Settings
from server.core.tracing import TracingMiddleware, otlp_provider
from server.query.admission import AdmissionQueue
from server.query.cursor import CursorCodec
from server.query.listing.suggestions import Suggestor
from server.query.service import Service
from server.retrieval.override_reader import OverrideReader
from server.retrieval.synonym_reader import SynonymReader
from server.serving.fleet import Fleet
from server.serving.manager import DeploymentManager, ModelControl
from server.serving.sync.catalog_sync import CatalogSync
from server.serving.sync.event_sync import EventSync
from server.serving.sync.override_sync import OverrideSync
from server.serving.sync.synonym_sync import SynonymSync
from server.serving.sync.traffic_sync import TrafficSync
from server.storage.event_log import RedisEventLog
from server.storage.protocol import (
    AnswerLog,
    AuditLog,
    EventLog,
    HistoryStore,
    OverrideStore,
    SharedCatalog,
    SynonymStore,
    TokenStore,
)
from server.storage.redis_history import RedisHistory
from server.storage.shared.answer_log import RedisAnswerLog
from server.storage.shared.audit_log import RedisAuditLog
from server.storage.shared.change_log import RedisChanges
from server.storage.shared.fleet import RedisFleet
from server.storage.shared.state import RedisOverrides, RedisSplit, RedisSynonyms
from server.storage.shared.tokens import RedisTokens

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider

__all__ = ["create_app"]

log = structlog.get_logger(__name__)


def connect_redis(settings: Settings) -> HistoryStore:
    return RedisHistory(settings.storage)


def connect_changes(settings: Settings) -> SharedCatalog:
    return RedisChanges(settings.storage)


def control_models(deployments: DeploymentManager, settings: Settings) -> ModelControl:
    if settings.fleet is None:
        return TrafficSync(deployments, RedisSplit(settings.storage))
    address = f"{gethostname()}:{settings.port}"
    store = RedisFleet(settings.storage, settings.fleet)
    return Fleet(deployments, store, name=settings.fleet, address=address)


def connect_synonyms(settings: Settings) -> SynonymStore:
    return RedisSynonyms(settings.storage)


def connect_overrides(settings: Settings) -> OverrideStore:
    return RedisOverrides(settings.storage)


def connect_answers(settings: Settings) -> AnswerLog:
    return RedisAnswerLog(settings.storage)


def connect_audit(settings: Settings) -> AuditLog:
    return RedisAuditLog(settings.storage)


def connect_log(settings: Settings) -> EventLog:
    return RedisEventLog(settings.storage)


def send_traces(settings: Settings) -> TracerProvider | None:
    """None where the operator names no collector."""
    return None if settings.otlp_endpoint is None else otlp_provider(settings.otlp_endpoint, settings.trace_share)


def create_app(
    settings: Settings,
    *,
    deploy: Callable[[Settings], DeploymentManager] = DeploymentManager,
    connect: Callable[[Settings], HistoryStore] = connect_redis,
    keep: Callable[[Settings], SharedCatalog] = connect_changes,
    control: Callable[[DeploymentManager, Settings], ModelControl] = control_models,
    keep_synonyms: Callable[[Settings], SynonymStore] = connect_synonyms,
    keep_overrides: Callable[[Settings], OverrideStore] = connect_overrides,
    keep_answers: Callable[[Settings], AnswerLog] = connect_answers,
    keep_audit: Callable[[Settings], AuditLog] = connect_audit,
    follow: Callable[[Settings], EventLog] = connect_log,
    trace: Callable[[Settings], TracerProvider | None] = send_traces,
) -> FastAPI:
    """An application whose lifespan loads the current bundle and starts its engine.

    Raises SettingsError for a root path that is an address of the server's own. Entering the lifespan raises
    KeyFileError for a file of keys that cannot be used, CatalogError for a bundle that cannot be served and EngineError
    for an engine that does not start. Redis may be away: it is connected to when first needed. `deploy`, `connect`,
    `keep`, `control`, `keep_synonyms`, `keep_overrides`, `keep_answers`, `keep_audit`, `follow` and `trace` are for
    tests.
    """

    provider = trace(settings)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            keyring = Keyring(settings.keys)
            deployments, history = deploy(settings), connect(settings)
            if provider is not None:
                stack.push_async_callback(asyncio.to_thread, provider.shutdown)
            stack.push_async_callback(history.close)
            audit_log = keep_audit(settings)
            stack.push_async_callback(audit_log.close)
            stack.push_async_callback(deployments.stop)
            event_sync = EventSync(deployments.router, follow(settings))
            stack.push_async_callback(event_sync.stop)
            deployments.count_events_first(event_sync.catch_up)
            shared = keep(settings)
            deployments.agree_on_paths(shared)
            model_control = control(deployments, settings)
            stack.push_async_callback(model_control.stop)
            await deployments.start(await model_control.first_version())
            catalog_sync = CatalogSync(deployments.router, shared)
            stack.push_async_callback(catalog_sync.stop)
            await catalog_sync.start()
            await model_control.start()
            readers = SynonymReader(), OverrideReader()
            synonym_sync = SynonymSync(readers[0], keep_synonyms(settings))
            override_sync = OverrideSync(readers[1], keep_overrides(settings))
            for sync in (synonym_sync, override_sync):
                stack.push_async_callback(sync.stop)
                await sync.start()
            await event_sync.start()
            collector = _collector(settings, keep_answers)
            if collector is not None:
                stack.push_async_callback(collector.stop)
                collector.start()
            authorizer = _authorizer(keyring, _connect_tokens(settings, stack), settings)
            await _warn_about_redis(history)
            syncs = catalog_sync, model_control, synonym_sync, override_sync
            logs = audit_log, collector
            app.state.parts = _assemble(deployments, history, syncs, readers, authorizer, logs, settings)
            yield

    app = FastAPI(
        lifespan=lifespan,
        redirect_slashes=False,
        openapi_url=None,  # routes/static.py
        docs_url=None,
        redoc_url=None,
        generate_unique_id_function=document.operation_id,
    )
    document.install(app, settings.root_path)
    install_handlers(app)
    _surround(app, settings)
    if provider is not None:
        app.add_middleware(TracingMiddleware, provider=provider)
    app.router.routes.extend(_routes())
    if settings.root_path:
        root_path.install(app, settings.root_path)
    return app


@functools.cache
def _routes() -> list[BaseRoute]:
    """The routes of all parts, made once: they hold nothing of an application, and take longer than everything else."""
    together = APIRouter(generate_unique_id_function=document.operation_id)
    answers, admin = (search, shelves, batch, rerank), (models, traffic, fleet, keys, analytics, audit, schema)
    for part in (*answers, events, bulk, items, synonyms, overrides, *admin, operations, static, users):
        together.include_router(part.router)
    return together.routes


def _surround(app: FastAPI, settings: Settings) -> None:
    """Adds the middleware, the innermost first."""
    app.add_middleware(HeadMiddleware)
    app.add_middleware(AuditMiddleware)
    imports = dict.fromkeys(("/items/import", "/synonyms/import", "/overrides/import"), settings.max_import_bytes)
    larger = {"/batch": settings.max_batch_bytes} | imports
    app.add_middleware(RequestBodyMiddleware, max_bytes=settings.max_body_bytes, max_bytes_at=larger)
    app.add_middleware(ProblemMiddleware)
    if settings.cors_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=settings.cors_origins,
            allow_methods=["GET", "POST", "PUT", "PATCH", "DELETE"],
            allow_headers=["Authorization", "Content-Type", "Idempotency-Key", "X-API-Key", REQUEST_ID],
            expose_headers=[REQUEST_ID, "Retry-After"],
        )
    app.add_middleware(CompressionMiddleware)
    app.add_middleware(RequestContextMiddleware)


def _assemble(
    deployments: DeploymentManager,
    history: HistoryStore,
    syncs: tuple[CatalogSync, ModelControl, SynonymSync, OverrideSync],
    readers: tuple[SynonymReader, OverrideReader],
    authorizer: Authorizer,
    logs: tuple[AuditLog, Collector | None],
    settings: Settings,
) -> Parts:
    audit_log, collector = logs
    catalog_sync, model_control, synonym_sync, override_sync = syncs
    synonyms_of_shop, overrides_of_shop = readers
    queue = AdmissionQueue(settings.max_concurrency, settings.max_queue)
    queue.describe_in_metrics()
    service = Service(
        deployments.router,
        history,
        queue,
        CursorCodec(settings.cursor_secrets),
        beam_width=settings.beam_width,
        guidance=settings.guidance,
        guidance_seconds=settings.guidance_timeout_ms / 1000,
        max_width=settings.engine.max_width,
        timeout_seconds=settings.answer_timeout_seconds,
        synonyms=synonyms_of_shop,
        overrides=overrides_of_shop,
        note=None if collector is None else collector.note,
    )
    return Parts(
        deployments,
        service,
        EventIngestor(deployments.router, history),
        Health(deployments.router, history, model_control),
        authorizer,
        history,
        catalog_sync,
        model_control,
        synonym_sync,
        override_sync,
        BatchRunner(service, settings.batch_concurrency, settings.max_body_bytes),
        audit_log,
        collector,
        Suggestor(deployments.router, _screen(settings)),
        frozenset(settings.cors_origins),
    )


def _collector(settings: Settings, keep: Callable[[Settings], AnswerLog]) -> Collector | None:
    """Raises StartupError where its folder cannot be written."""
    if settings.analytics is None:
        return None
    try:
        return Collector(settings.analytics, keep(settings), days=settings.analytics_days)
    except OSError as error:
        raise StartupError(f"--analytics {settings.analytics}: {error.strerror}; {remedy(error)}") from error


def _screen(settings: Settings) -> Screen:
    """Raises StartupError where the file of blocked words cannot be read."""
    if settings.suggest_blocked is None:
        return Screen()
    try:
        return Screen.open(settings.suggest_blocked)
    except (OSError, UnicodeDecodeError) as error:
        message = f"--suggest-blocked {settings.suggest_blocked}: {error}; name a text file in UTF-8, one word a line"
        raise StartupError(message) from error


def _connect_tokens(settings: Settings, stack: AsyncExitStack) -> TokenStore | None:
    """The token buckets of the fleet, closed with the stack; None where there is no fleet."""
    if settings.fleet is None:
        return None
    tokens = RedisTokens(settings.storage, settings.fleet)
    stack.push_async_callback(tokens.close)
    return tokens


def _authorizer(keyring: Keyring, tokens: TokenStore | None, settings: Settings) -> Authorizer:
    """tokens: of the fleet; None counts at this server alone."""
    default = RateLimit(settings.rate_per_second, settings.rate_burst, settings.concurrency)
    limiter = RateLimiter(default, shared=tokens)
    return Authorizer(keyring, limiter, open_read=settings.open_read, open_admin=settings.open_admin)


async def _warn_about_redis(history: HistoryStore) -> None:
    """Raises StartupError where it is of another kind than its URL says."""
    try:
        await history.check()
    except WrongRedis as error:
        raise StartupError(f"--redis: {error}") from error
    except HistoryUnavailable as error:
        log.warning("starting_without_redis", error=str(error))
        return
    for warning in await history.warnings():
        log.warning("events_may_be_lost", reason=warning)
