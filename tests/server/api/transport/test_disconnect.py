"""A client that leaves stops what is done for it, over a real socket."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import uvicorn
from prometheus_client import REGISTRY

from server.app.uvicorn_server import bind, uvicorn_config
from server.core.settings import Settings
from server.engine.protocol import Ranking, RankRequest
from server.serving.manager import DeploymentManager
from tests.support.memory_app import create_memory_app
from tests.support.small_shop import RecordingEngine, publish_names

QUESTION = b"GET /search?q=tent HTTP/1.1\r\nHost: shop\r\n\r\n"
BODY = b'{"q": "tent"}'
POSTED = b"POST /search HTTP/1.1\r\nHost: shop\r\nContent-Type: application/json\r\nContent-Length: 13\r\n\r\n" + BODY


class SilentEngine(RecordingEngine):
    """Answers nothing until `gate` is set, and counts who waits."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = asyncio.Event()
        self.waiting = 0

    async def rank(self, request: RankRequest) -> Ranking:
        self.waiting += 1
        try:
            await self.gate.wait()
        finally:
            self.waiting -= 1
        return await super().rank(request)


@pytest.fixture
def engine() -> RecordingEngine:
    return SilentEngine()


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    publish_names(tmp_path, "2025-11-20-a")
    return Settings(bundles=tmp_path, port=0, max_concurrency=1)


@pytest.fixture
async def port(settings: Settings, deployments: DeploymentManager) -> AsyncIterator[int]:
    app = create_memory_app(settings, lambda _: deployments)
    listener = bind(settings)
    server = uvicorn.Server(uvicorn_config(app, settings))
    async with app.router.lifespan_context(app):
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        yield listener.getsockname()[1]
        server.should_exit = True
        await serving


async def until(engine: SilentEngine, waiting: int, queued: int) -> None:
    """Waits for so many questions in the engine and in the queue."""
    async with asyncio.timeout(60):
        while (engine.waiting, REGISTRY.get_sample_value("gemserve_queue_waiting")) != (waiting, queued):
            await asyncio.sleep(0.005)


def client_left() -> float:
    return REGISTRY.get_sample_value("gemserve_queue_refused_total", {"reason": "gone"}) or 0.0


@pytest.mark.parametrize("question", [QUESTION, POSTED])
async def test_a_client_that_leaves_is_answered_no_more(port: int, engine: SilentEngine, question: bytes) -> None:
    before = client_left()
    writers = []
    for number in range(3):  # one under way, two wait
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(question)
        writers.append(writer)
        await until(engine, 1, number)
    writers[1].close()  # it waits
    await until(engine, 1, 1)
    assert client_left() == before + 1
    writers[0].close()  # it is under way
    await until(engine, 1, 0)
    writers[2].close()
    await until(engine, 0, 0)
    assert engine.requests == []


def answers(outcome: str) -> float:
    labels = {"task": "search", "model": "2025-11-20-a", "outcome": outcome}
    return REGISTRY.get_sample_value("gemserve_answers_total", labels) or 0.0


async def test_who_leaves_is_refused_and_who_waits_in_vain_was_failed(port: int, engine: SilentEngine) -> None:
    before = answers("refused"), answers("failed")
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(QUESTION)
    await until(engine, 1, 0)
    writer.close()
    await until(engine, 0, 0)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(QUESTION.replace(b"tent", b"tent&timeout_ms=50"))
    assert (await reader.readline()).startswith(b"HTTP/1.1 504")
    writer.close()
    assert (answers("refused"), answers("failed")) == (before[0] + 1, before[1] + 1)


async def test_a_connection_is_good_for_more_after_an_answer(port: int, engine: SilentEngine) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    engine.gate.set()
    for _ in range(2):
        writer.write(QUESTION)
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200")
        length = next(line for line in head.split(b"\r\n") if line.lower().startswith(b"content-length"))
        await reader.readexactly(int(length.split(b":")[1]))
    writer.close()
    await until(engine, 0, 0)
