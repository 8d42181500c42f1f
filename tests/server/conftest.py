"""The whole application over a fake engine and a history in memory, called without a network."""

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from catalog.items import Items
from catalog.prompts import PromptFormat
from server.app import create_app
from server.deployment import Deployment
from server.settings import Settings
from tests.server.http_shop import Shop
from tests.server.memory_history import MemoryHistory
from tests.server.small_shop import RecordingEngine, make_deployment, make_items, make_prompts


@pytest.fixture(scope="session")
def items() -> Items:
    return make_items()


@pytest.fixture(scope="session")
def prompts() -> PromptFormat:
    return make_prompts()


@pytest.fixture
def deployment(items: Items, prompts: PromptFormat) -> Deployment:
    return make_deployment(items, prompts)


@pytest.fixture
def engine(deployment: Deployment) -> RecordingEngine:
    assert isinstance(deployment.engine, RecordingEngine)
    return deployment.engine


@pytest.fixture
def history() -> MemoryHistory:
    return MemoryHistory()


@pytest.fixture
def settings() -> Settings:
    return Settings(bundles=Path("unused"), max_body_bytes=1 << 20, answer_timeout_seconds=0.2)


@pytest.fixture
async def shop(settings: Settings, deployment: Deployment, history: MemoryHistory) -> AsyncIterator[Shop]:
    app = create_app(settings, load=lambda _: deployment, connect=lambda _: history)
    async with app.router.lifespan_context(app):
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://shop") as client:
            yield Shop(client)
