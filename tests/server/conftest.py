"""The whole application over a fake engine and a history in memory, called without a network."""

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from server.core.settings import Settings
from server.serving.manager import DeploymentManager
from tests.support.http_shop import Shop
from tests.support.memory_app import create_memory_app
from tests.support.memory_changes import MemoryChanges
from tests.support.memory_history import MemoryHistory
from tests.support.small_shop import RecordingEngine, make_deployments, publish_names


@pytest.fixture
def engine() -> RecordingEngine:
    return RecordingEngine()


@pytest.fixture
def deployments(settings: Settings, engine: RecordingEngine) -> DeploymentManager:
    return make_deployments(settings, engine)


@pytest.fixture
def history() -> MemoryHistory:
    return MemoryHistory()


@pytest.fixture
def changes() -> MemoryChanges:
    return MemoryChanges()


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    publish_names(tmp_path, "2025-11-20-a", "2025-11-21-a")
    return Settings(
        bundles=tmp_path,
        max_body_bytes=1 << 20,
        open_admin=True,
        guidance_timeout_ms=60_000,
    )


@pytest.fixture
async def shop(
    settings: Settings, deployments: DeploymentManager, history: MemoryHistory, changes: MemoryChanges
) -> AsyncIterator[Shop]:
    app = create_memory_app(settings, lambda _: deployments, history=history, changes=changes)
    async with app.router.lifespan_context(app):
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://shop") as client:
            yield Shop(client)
