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
from starlette.routing import BaseRoute

from server.api.dependencies import Parts
from server.api.openapi import document
from server.api.problems import install_handlers
from server.api.routes import bulk, events, items, operations, static, users
from server.api.routes.admin import analytics, audit, fleet, keys, models, schema, traffic
from server.api.routes.answers import batch, rerank, search, shelves
from server.api.routes.curation import overrides, synonyms
from server.api.transport import root_path
from server.app.middleware import surround
from server.app.parts import make_authorizer, make_collector, make_parts
from server.app.stores import IN_REDIS, Stores
from server.auth.keyring import Keyring
from server.core.errors import HistoryUnavailable, StartupError, WrongRedis
from server.core.settings import Settings
from server.core.tracing import TracingMiddleware, otlp_provider
from server.retrieval.override_reader import OverrideReader
from server.retrieval.synonym_reader import SynonymReader
from server.serving.fleet import Fleet
from server.serving.manager import DeploymentManager, ModelControl
from server.serving.sync.catalog_sync import CatalogSync
from server.serving.sync.event_sync import EventSync
from server.serving.sync.override_sync import OverrideSync
from server.serving.sync.synonym_sync import SynonymSync
from server.serving.sync.traffic_sync import TrafficSync
from server.storage.protocol import HistoryStore
from server.storage.shared.fleet import RedisFleet
from server.storage.shared.state import RedisSplit

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider

__all__ = ["create_app"]

log = structlog.get_logger(__name__)


def control_models(deployments: DeploymentManager, settings: Settings) -> ModelControl:
    """Who decides which models answer: the fleet, or this server and those on its Redis."""
    if settings.fleet is None:
        return TrafficSync(deployments, RedisSplit(settings.storage))
    address = f"{gethostname()}:{settings.port}"
    store = RedisFleet(settings.storage, settings.fleet)
    return Fleet(deployments, store, name=settings.fleet, address=address)


def send_traces(settings: Settings) -> TracerProvider | None:
    """None where the operator names no collector."""
    return None if settings.otlp_endpoint is None else otlp_provider(settings.otlp_endpoint, settings.trace_share)


def create_app(
    settings: Settings,
    *,
    deploy: Callable[[Settings], DeploymentManager] = DeploymentManager,
    stores: Stores = IN_REDIS,
    control: Callable[[DeploymentManager, Settings], ModelControl] = control_models,
    trace: Callable[[Settings], TracerProvider | None] = send_traces,
) -> FastAPI:
    """An application whose lifespan loads the current bundle and starts its engine.

    Raises SettingsError for a root path that is an address of the server's own. Entering the lifespan raises
    KeyFileError for a file of keys that cannot be used, CatalogError for a bundle that cannot be served and EngineError
    for an engine that does not start. Redis may be away: it is connected to when first needed. `deploy`, `stores`,
    `control` and `trace` are for tests.
    """
    provider = trace(settings)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            if provider is not None:
                stack.push_async_callback(asyncio.to_thread, provider.shutdown)
            app.state.parts = await _start(settings, stack, deploy, stores, control)
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
    surround(app, settings)
    if provider is not None:
        app.add_middleware(TracingMiddleware, provider=provider)
    app.router.routes.extend(_routes())
    if settings.root_path:
        root_path.install(app, settings.root_path)
    return app


async def _start(
    settings: Settings,
    stack: AsyncExitStack,
    deploy: Callable[[Settings], DeploymentManager],
    stores: Stores,
    control: Callable[[DeploymentManager, Settings], ModelControl],
) -> Parts:
    """Starts everything, and has the stack end it. A model answers when it has the catalog's changes and the events."""
    keyring = Keyring(settings.keys)
    deployments, history = deploy(settings), stores.history(settings)
    stack.push_async_callback(history.close)
    audit_log = stores.audit(settings)
    stack.push_async_callback(audit_log.close)
    stack.push_async_callback(deployments.stop)
    event_sync = EventSync(deployments.router, stores.events(settings))
    stack.push_async_callback(event_sync.stop)
    deployments.count_events_first(event_sync.catch_up)
    changes = stores.changes(settings)
    deployments.agree_on_paths(changes)
    model_control = control(deployments, settings)
    stack.push_async_callback(model_control.stop)
    await deployments.start(await model_control.first_version())
    catalog_sync = CatalogSync(deployments.router, changes)
    stack.push_async_callback(catalog_sync.stop)
    await catalog_sync.start()
    await model_control.start()
    readers = SynonymReader(), OverrideReader()
    synonym_sync = SynonymSync(readers[0], stores.synonyms(settings))
    override_sync = OverrideSync(readers[1], stores.overrides(settings))
    for sync in (synonym_sync, override_sync):
        stack.push_async_callback(sync.stop)
        await sync.start()
    await event_sync.start()
    collector = make_collector(settings, stores.answers)
    if collector is not None:
        stack.push_async_callback(collector.stop)
        collector.start()
    tokens = stores.tokens(settings)
    if tokens is not None:
        stack.push_async_callback(tokens.close)
    await _warn_about_redis(history)
    return make_parts(
        settings,
        deployments,
        history,
        syncs=(catalog_sync, model_control, synonym_sync, override_sync),
        readers=readers,
        authorizer=make_authorizer(keyring, tokens, settings),
        audit_log=audit_log,
        collector=collector,
    )


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


@functools.cache
def _routes() -> list[BaseRoute]:
    """The routes of all parts, made once: they hold nothing of an application, and take longer than everything else."""
    together = APIRouter(generate_unique_id_function=document.operation_id)
    answers, admin = (search, shelves, batch, rerank), (models, traffic, fleet, keys, analytics, audit, schema)
    for part in (*answers, events, bulk, items, synonyms, overrides, *admin, operations, static, users):
        together.include_router(part.router)
    return together.routes
