"""The application: its parts are made when it starts and closed in the opposite order when it ends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager

import structlog
from fastapi import FastAPI

from server import telemetry
from server.dependencies import Parts
from server.deployment import Deployment, open_deployment
from server.errors import HistoryUnavailable, install_handlers
from server.health import Health
from server.history import HistoryStore
from server.intake import Intake
from server.middleware import Requests
from server.redis_history import RedisHistory
from server.routes import answers, events, items, operations
from server.service import Service
from server.settings import Settings

__all__ = ["create_app"]

log = structlog.get_logger(__name__)


def connect_redis(settings: Settings) -> HistoryStore:
    return RedisHistory(settings.redis, settings)


def create_app(
    settings: Settings,
    *,
    load: Callable[[Settings], Deployment] = open_deployment,
    connect: Callable[[Settings], HistoryStore] = connect_redis,
) -> FastAPI:
    """An application whose lifespan loads the current bundle and starts its engine.

    Entering the lifespan raises CatalogError for a bundle that cannot be served and EngineError for an engine that does
    not start. Redis may be away: it is connected to when first needed. `load` and `connect` are for tests.
    """

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            deployment = await asyncio.to_thread(load, settings)
            history = connect(settings)
            stack.push_async_callback(history.close)
            stack.push_async_callback(deployment.engine.stop)
            await deployment.engine.start()
            await _warn_about_redis(history)
            _describe_in_metrics(deployment)
            app.state.parts = _assemble(deployment, history, settings)
            yield

    app = FastAPI(
        title="gemserve",
        summary="One language model for search and recommendation.",
        lifespan=lifespan,
        redirect_slashes=False,
        docs_url=None,
        redoc_url=None,
    )
    install_handlers(app)
    app.add_middleware(Requests, max_body_bytes=settings.max_body_bytes)
    for part in (answers, events, items, operations):
        app.include_router(part.router)
    return app


def _assemble(deployment: Deployment, history: HistoryStore, settings: Settings) -> Parts:
    service = Service(
        deployment, history, beam_width=settings.beam_width, timeout_seconds=settings.answer_timeout_seconds
    )
    return Parts(deployment, service, Intake(deployment.items, history), Health(deployment, history))


async def _warn_about_redis(history: HistoryStore) -> None:
    try:
        await history.check()
    except HistoryUnavailable as error:
        log.warning("starting_without_redis", error=str(error))
        return
    for warning in await history.warnings():
        log.warning("events_may_be_lost", reason=warning)


def _describe_in_metrics(deployment: Deployment) -> None:
    manifest, available = deployment.manifest, deployment.selection.available
    telemetry.MODEL.clear()
    telemetry.MODEL.labels(manifest.version, manifest.engine, manifest.identifiers).set(1)
    telemetry.CATALOG_ITEMS.labels("true").set(available)
    telemetry.CATALOG_ITEMS.labels("false").set(len(deployment.items) - available)
