"""No request holds the event loop, which all others wait for."""

import asyncio
import gc
from collections.abc import AsyncIterator
from pathlib import Path

import orjson
import pytest
from fastapi import FastAPI

from server.core.process import FROZEN, gc_freeze
from server.core.settings import Settings
from tests.hostile.calls import hostile_calls
from tests.support.asgi import Call, send
from tests.support.event_loop import watched_turns
from tests.support.large_shop import make_large_deployments
from tests.support.memory_app import create_memory_app
from tests.support.small_shop import NAMES, make_deployments, patient_settings, publish_names

pytestmark = pytest.mark.slow  # a bound in seconds, which wants a machine of its own

LONGEST_TURN = 0.05  # seconds that the loop's thread works
LONGEST_BLOCKED = 0.1  # seconds that it waits for another, in C code; in one turn it may have to wait three times


@pytest.fixture
async def app(tmp_path: Path) -> AsyncIterator[FastAPI]:
    publish_names(tmp_path, "2025-11-20-a", "2025-11-21-a")
    app = create_memory_app(Settings(bundles=tmp_path, open_admin=True), make_large_deployments)
    async with app.router.lifespan_context(app):
        gc_freeze()
        yield app
    FROZEN.clear()
    gc.unfreeze()


async def test_no_request_holds_the_event_loop(app: FastAPI) -> None:
    for name, call in hostile_calls():
        async with watched_turns() as turns:
            reply = await send(app, call)
        assert 200 <= reply.status < 500, f"{name}: {reply.body[:200]!r}"
        assert turns.longest < LONGEST_TURN, name
        assert turns.longest_blocked < LONGEST_BLOCKED, name


async def test_no_page_holds_the_event_loop(app: FastAPI) -> None:
    cursor, pages = None, 0
    while pages == 0 or cursor is not None:
        body = orjson.dumps({"q": "tent", "k": 200, "cursor": cursor})
        async with watched_turns() as turns:
            reply = await send(app, Call("POST", "/search", body=body))
        assert reply.status == 200
        assert turns.longest < LONGEST_TURN, f"page {pages}"
        cursor, pages = orjson.loads(reply.body)["next_cursor"], pages + 1
    assert pages == 5


async def test_no_change_of_models_holds_the_event_loop(app: FastAPI) -> None:
    """While queries are answered."""
    query = Call("POST", "/search", body=b'{"q": "tent"}')
    changes = [
        Call("PUT", "/admin/traffic", body=b'{"weights": {"2025-11-20-a": 1, "2025-11-21-a": 1}}'),
        Call("DELETE", "/admin/traffic"),
        Call("POST", "/admin/models/2025-11-21-a/activate"),
        Call("POST", "/admin/models/rollback"),
    ]
    for change in changes:
        async with watched_turns() as turns:
            replies = await asyncio.gather(send(app, change), *(send(app, query) for _ in range(4)))
        assert [reply.status for reply in replies] == [200] * 5, change.path
        assert turns.longest < LONGEST_TURN, change.path


@pytest.mark.parametrize(
    "text", ["tent rope " * 3_000, "e\u0301 " * 15_000, "a1" * 15_000], ids=["words", "marks", "digits"]
)
async def test_telling_which_words_long_texts_have_does_not_hold_the_event_loop(tmp_path: Path, text: str) -> None:
    """In a guided shop, all of whose items have as much text as is looked at."""
    app = create_memory_app(patient_settings(tmp_path).model_copy(update={"open_admin": True}), make_deployments)
    rows = [{"id": name, "title": text, "brand": text, "categories": [text] * 3, "description": text} for name in NAMES]
    query = orjson.dumps({"q": text[:900], "k": 200, "explain": True})
    async with app.router.lifespan_context(app):
        for row in rows:
            assert (await send(app, Call("POST", "/items", body=orjson.dumps([row])))).status == 200
        for _ in range(3):  # the first is slow
            async with watched_turns() as turns:
                reply = await send(app, Call("POST", "/search", body=query))
            assert reply.status == 200
        assert any(item["matched"] for item in orjson.loads(reply.body)["items"])
        assert turns.longest < LONGEST_TURN
        assert turns.longest_blocked < LONGEST_BLOCKED
