"""Guided searches have as many beams as their bundle says that they need, unless a setting says otherwise."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import cast

import httpx
import pytest

from catalog.bundle.bundle import Bundle
from server.core.settings import Settings
from server.serving.manager import DeploymentManager
from tests.support.http_shop import Shop
from tests.support.memory_app import create_memory_app
from tests.support.small_shop import NAMES, RecordingEngine, ShopBundle

Serve = Callable[[int | None, int | None], AbstractAsyncContextManager[Shop]]


@pytest.fixture
def serve(settings: Settings, engine: RecordingEngine) -> Serve:
    @asynccontextmanager
    async def serve(guided_width: int | None, beam_width: int | None) -> AsyncIterator[Shop]:
        bundle = ShopBundle()
        bundle.manifest = bundle.manifest.model_copy(update={"guided_width": guided_width})
        app = create_memory_app(
            settings.model_copy(update={"beam_width": beam_width}),
            lambda s: DeploymentManager(s, lambda *_: cast(Bundle, bundle), lambda *_: engine),
        )
        async with app.router.lifespan_context(app):
            transport = httpx.ASGITransport(app=app)
            async with httpx.AsyncClient(transport=transport, base_url="http://shop") as client:
                yield Shop(client)

    return serve


@pytest.mark.parametrize(
    ("of_bundle", "setting", "asked", "width"),
    [
        (16, None, {}, 16),
        (16, None, {"guidance": False}, 50),
        (16, None, {"k": 11}, 18),
        (16, None, {"k": 30}, 48),
        (16, None, {"k": 40}, 50),
        (16, None, {"k": 60}, 60),
        (16, None, {"k": 3}, 16),
        (10, None, {"k": 1}, 10),
        (16, 30, {}, 30),
        (16, 30, {"guidance": False}, 30),
        (60, None, {}, 50),
        (None, None, {}, 50),
        (None, 12, {}, 12),
        (16, None, {"candidates": NAMES[4:28]}, 50),
    ],
)
async def test_a_request_has_as_many_beams_as_it_needs(
    serve: Serve,
    engine: RecordingEngine,
    of_bundle: int | None,
    setting: int | None,
    asked: dict[str, object],
    width: int,
) -> None:
    async with serve(of_bundle, setting) as shop:
        engine.requests.clear()
        response = await shop.client.post("/search", json={"q": "title 7", **asked})
        assert response.status_code == 200, response.text
        assert [request.width for request in engine.requests] == [width]


async def test_later_pages_have_the_beams_of_one_that_shows_all_before_too(
    serve: Serve, engine: RecordingEngine
) -> None:
    async with serve(10, None) as shop:
        engine.requests.clear()
        cursor: dict[str, object] = {}
        for _ in range(4):
            answer = (await shop.client.post("/search", json={"q": "title 7", "k": 7, **cursor})).json()
            cursor = {"cursor": answer["next_cursor"]}
        assert [request.width for request in engine.requests] == [10, 14, 21, 28]
