"""Responses are compressed for those who ask, and say the same as those that are not."""

import asyncio
import zlib
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import orjson
import pytest
import uvicorn

from server.api.transport.compression import MIN_BYTES, CompressionMiddleware, accepts_gzip
from server.app.uvicorn_server import bind, uvicorn_config
from server.core.settings import Settings
from server.engine.protocol import Ranking, RankRequest
from server.serving.manager import DeploymentManager
from tests.support.event_loop import watched_turns
from tests.support.http_shop import Shop
from tests.support.memory_app import create_memory_app
from tests.support.problems import assert_problem
from tests.support.small_shop import RecordingEngine, make_deployments, patient_settings, publish_names

LARGE = "/search?q=tent&k=30"
SMALL = "/health/live"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return patient_settings(tmp_path)


async def raw(shop: Shop, path: str, method: str = "GET", **headers: str) -> tuple[httpx.Response, bytes]:
    """The response, and its body as it came."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    async with shop.client.stream(method, path, headers={"accept-encoding": "identity"} | named) as response:
        return response, b"".join([part async for part in response.aiter_raw()])


@pytest.mark.parametrize(
    ("header", "asked"),
    [
        ("gzip", True), ("GZIP", True), ("gzip, deflate, br, zstd", True), ("br;q=1, gzip;q=0.2", True), ("*", True),
        ("x-gzip", True), ("gzip ; q=0.5", True), ("", False), ("identity", False), ("gzip;q=0", False),
        ("gzip; q=0.0, *", False), ("br", False), ("*;q=0", False), ("gzip;q=much", False), ("gzippy", False),
    ],
)  # fmt: skip
def test_who_asks_for_gzip(header: str, asked: bool) -> None:
    assert accepts_gzip([header]) is asked


async def test_a_large_answer_is_compressed_for_those_who_ask(shop: Shop) -> None:
    plain, text = await raw(shop, LARGE)
    packed, body = await raw(shop, LARGE, accept_encoding="gzip")
    assert len(text) >= MIN_BYTES > len(body)
    assert packed.headers["content-encoding"] == "gzip"
    assert int(packed.headers["content-length"]) == len(body)
    assert orjson.loads(zlib.decompress(body, wbits=31))["items"] == orjson.loads(text)["items"]
    assert "content-encoding" not in plain.headers
    assert int(plain.headers["content-length"]) == len(text)
    assert plain.headers["vary"] == packed.headers["vary"] == "Accept-Encoding"
    assert packed.headers["content-type"] == "application/json"


async def test_neither_small_ones_nor_those_who_refuse_it_get_it(shop: Shop) -> None:
    for path, header in ((SMALL, "gzip"), (LARGE, "gzip;q=0"), (LARGE, "br, zstd")):
        response, _ = await raw(shop, path, accept_encoding=header)
        assert "content-encoding" not in response.headers


async def test_a_long_problem_is_compressed_too(shop: Shop) -> None:
    rows = [{"user_id": "ada", "item_id": "x" * 300, "type": "view"}] * 20
    headers = {"accept-encoding": "gzip"}
    response = await shop.client.post("/events", json=rows, headers=headers)
    assert_problem(response, 422, "invalid_event")
    assert response.headers["content-encoding"] == "gzip"


async def test_the_page_keeps_its_tag_and_is_not_sent_again(shop: Shop) -> None:
    plain, text = await raw(shop, "/")
    packed, body = await raw(shop, "/", accept_encoding="gzip")
    assert zlib.decompress(body, wbits=31) == text
    assert packed.headers["etag"] == "W/" + plain.headers["etag"]
    for tag in (plain.headers["etag"], packed.headers["etag"]):
        again, nothing = await raw(shop, "/", accept_encoding="gzip", if_none_match=tag)
        assert (again.status_code, nothing) == (304, b"")
        assert (again.headers["etag"], again.headers["vary"]) == (packed.headers["etag"], "Accept-Encoding")


@pytest.mark.parametrize("header", ["gzip", "identity"])
async def test_head_says_what_get_would(shop: Shop, header: str) -> None:
    page = (await shop.client.get("/")).text
    script = "/static/" + page.split('"static/')[1].split('"')[0]
    got, _ = await raw(shop, script, accept_encoding=header)
    asked, _ = await raw(shop, script, "HEAD", accept_encoding=header)
    for name in ("content-encoding", "vary", "etag", "content-type", "cache-control"):
        assert asked.headers.get(name) == got.headers.get(name), name
    assert asked.headers.get("content-length") in {None, got.headers["content-length"]}


async def test_the_log_still_knows_the_route(shop: Shop) -> None:
    """Routing leaves it in the scope that those outside of the compression have."""
    await raw(shop, LARGE, accept_encoding="gzip")
    measured = (await shop.get("/metrics")).text
    assert 'gemserve_request_seconds_count{outcome="ok",route="/search"}' in measured


async def test_compressing_does_not_hold_the_event_loop() -> None:
    body = orjson.dumps([{"id": number, "title": f"{number * 7919 % 10_007} tent"} for number in range(500_000)])
    sent = 0

    async def app(scope, receive, send) -> None:  # type: ignore[no-untyped-def]
        headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    async def send(message: dict[str, object]) -> None:
        nonlocal sent
        sent += len(message.get("body", b""))  # type: ignore[arg-type]

    scope = {"type": "http", "method": "GET", "path": "/", "headers": [(b"accept-encoding", b"gzip")]}
    async with watched_turns() as turns:
        await CompressionMiddleware(app)(scope, None, send)  # type: ignore[arg-type]
    assert 0 < sent < len(body) / 3
    assert turns.longest < 0.05


class GatedEngine(RecordingEngine):
    """Answers one question; the next ones when `gate` is set."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = asyncio.Event()

    async def rank(self, request: RankRequest) -> Ranking:
        if request.k != 13:
            await self.gate.wait()
        return await super().rank(request)


@pytest.fixture
async def gated(tmp_path: Path) -> AsyncIterator[tuple[GatedEngine, str]]:
    """An engine, and the address of a server that has it, over a real socket."""
    publish_names(tmp_path, "2025-11-20-a")
    settings, engine = Settings(bundles=tmp_path, port=0), GatedEngine()
    deployments: DeploymentManager = make_deployments(settings, engine)
    app = create_memory_app(settings, lambda _: deployments)
    listener = bind(settings)
    server = uvicorn.Server(uvicorn_config(app, settings))
    async with app.router.lifespan_context(app):
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        yield engine, f"http://127.0.0.1:{listener.getsockname()[1]}"
        server.should_exit = True
        await serving


@pytest.mark.parametrize("ordered", ["false", "true"])
@pytest.mark.parametrize("encoding", ["gzip", "identity"])
async def test_a_line_of_a_batch_arrives_before_the_next_is_ready(
    gated: tuple[GatedEngine, str], encoding: str, ordered: str
) -> None:
    engine, url = gated
    lines = [{"kind": "search", "q": "tent", "k": 13}, {"kind": "search", "q": "tent", "k": 5}]
    headers = {"accept-encoding": encoding}
    async with (
        asyncio.timeout(60),
        httpx.AsyncClient(base_url=url) as client,
        client.stream("POST", "/batch", params={"ordered": ordered}, json=lines, headers=headers) as response,
    ):
        assert response.headers.get("content-encoding", "identity") == encoding
        found = response.aiter_lines()
        assert len(orjson.loads(await anext(found))["answer"]["items"]) == 13
        engine.gate.set()
        assert len(orjson.loads(await anext(found))["answer"]["items"]) == 5
        assert [line async for line in found] == []
