"""The application: its parts are made when it starts and closed in the opposite order when it ends."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager

import structlog
from fastapi import FastAPI

from server.dependencies import Parts
from server.deployments import Deployments
from server.errors import HistoryUnavailable, install_handlers
from server.health import Health
from server.history import HistoryStore
from server.intake import Intake
from server.middleware import Requests
from server.redis_history import RedisHistory
from server.routes import answers, events, items, models, operations
from server.service import Service
from server.settings import Settings

__all__ = ["create_app"]

log = structlog.get_logger(__name__)


def connect_redis(settings: Settings) -> HistoryStore:
    return RedisHistory(settings.redis, settings)


def create_app(
    settings: Settings,
    *,
    deploy: Callable[[Settings], Deployments] = Deployments,
    connect: Callable[[Settings], HistoryStore] = connect_redis,
) -> FastAPI:
    """An application whose lifespan loads the current bundle and starts its engine.

    Entering the lifespan raises CatalogError for a bundle that cannot be served and EngineError for an engine that does
    not start. Redis may be away: it is connected to when first needed. `deploy` and `connect` are for tests.
    """

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            deployments, history = deploy(settings), connect(settings)
            stack.push_async_callback(history.close)
            stack.push_async_callback(deployments.stop)
            await deployments.start()
            await _warn_about_redis(history)
            app.state.parts = _assemble(deployments, history, settings)
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
    for part in (answers, events, items, models, operations):
        app.include_router(part.router)
    return app


def _assemble(deployments: Deployments, history: HistoryStore, settings: Settings) -> Parts:
    service = Service(
        deployments,
        history,
        beam_width=settings.beam_width,
        widest=settings.engine.max_width,
        timeout_seconds=settings.answer_timeout_seconds,
    )
    return Parts(deployments, service, Intake(deployments, history), Health(deployments, history), settings.open_admin)


async def _warn_about_redis(history: HistoryStore) -> None:
    try:
        await history.check()
    except HistoryUnavailable as error:
        log.warning("starting_without_redis", error=str(error))
        return
    for warning in await history.warnings():
        log.warning("events_may_be_lost", reason=warning)
