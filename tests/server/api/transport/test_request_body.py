"""Compressed bodies: read as if they were not, and bounded by what they become."""

import random
import tracemalloc
import zlib
from collections.abc import Callable
from pathlib import Path

import orjson
import pytest
from backports import zstd
from hypothesis import given
from hypothesis import strategies as st

from server.api.transport.request_body import MAX_PARTS, RequestBodyMiddleware, decompress
from server.core.errors import Problem
from server.core.settings import Settings
from tests.support.event_loop import watched_turns
from tests.support.http_shop import Shop
from tests.support.problems import assert_problem
from tests.support.small_shop import patient_settings

LIMIT = 2 << 20
JSON = {"content-type": "application/json"}
PACK: dict[str, Callable[[bytes], bytes]] = {"gzip": lambda body: zlib.compress(body, wbits=31), "zstd": zstd.compress}


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return patient_settings(tmp_path)


@given(body=st.binary(max_size=3_000), encoding=st.sampled_from([*PACK]))
def test_what_was_compressed_is_what_comes_out(body: bytes, encoding: str) -> None:
    packed = PACK[encoding](body)
    assert decompress(packed, encoding, len(body)) == body
    assert decompress(packed + PACK[encoding](b"more"), encoding, LIMIT) == body + b"more"
    if body:
        with pytest.raises(Problem, match="over"):
            decompress(packed, encoding, len(body) - 1)


@given(body=st.binary(max_size=200), encoding=st.sampled_from([*PACK]))
def test_anything_else_is_refused(body: bytes, encoding: str) -> None:
    for wrong in (body, PACK[encoding](body)[:-1], PACK[encoding](body) + b"\0"):
        with pytest.raises(Problem) as raised:
            decompress(wrong, encoding, LIMIT)
        assert raised.value.kind.code == "malformed_encoding"


@pytest.mark.parametrize("encoding", PACK)
def test_a_bomb_is_given_up_at_the_limit(encoding: str) -> None:
    """A gibibyte of zeros, of which no more is made than the limit lets through."""
    bomb = PACK[encoding](bytes(1 << 30))
    tracemalloc.start()
    try:
        with pytest.raises(Problem, match="the decompressed body is over 2,097,152 bytes"):
            decompress(bomb, encoding, LIMIT)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 3 * LIMIT


@pytest.mark.parametrize("encoding", PACK)
def test_a_body_of_many_parts_is_refused(encoding: str) -> None:
    """Each would copy what is behind it."""
    part = PACK[encoding](b"x")
    assert decompress(part * MAX_PARTS, encoding, LIMIT) == b"x" * MAX_PARTS
    with pytest.raises(Problem, match="over 64 parts"):
        decompress(part * (MAX_PARTS + 1), encoding, LIMIT)


def test_a_frame_that_wants_much_memory_is_refused() -> None:
    options = {zstd.CompressionParameter.window_log: 27, zstd.CompressionParameter.enable_long_distance_matching: 1}
    compressor = zstd.ZstdCompressor(options=options)  # of a length that it does not know, so the window stays
    packed = compressor.compress(b"{}") + compressor.flush()
    with pytest.raises(Problem, match="memory") as raised:
        decompress(packed, "zstd", LIMIT)
    assert raised.value.kind.code == "malformed_encoding"


@pytest.mark.parametrize(
    ("name", "encoding"), [("gzip", "gzip"), ("zstd", "zstd"), ("x-gzip", "gzip"), ("GZip", "gzip"), ("identity", None)]
)
async def test_a_compressed_body_is_read(shop: Shop, name: str, encoding: str | None) -> None:
    def packed(body: object) -> bytes:
        return PACK[encoding](orjson.dumps(body)) if encoding is not None else orjson.dumps(body)

    headers = JSON | {"content-encoding": name}
    found = await shop.client.post("/search", content=packed({"q": "tent", "k": 3}), headers=headers)
    assert len(found.json()["items"]) == 3
    event = {"user_id": "ada", "item_id": "item-9", "type": "view"}
    assert (await shop.client.post("/events", content=packed([event]), headers=headers)).status_code == 202
    batch = await shop.client.post("/batch", content=packed([{"kind": "search", "q": "tent"}] * 3), headers=headers)
    assert len(batch.content.splitlines()) == 3


async def test_the_limit_holds_behind_the_decompression(shop: Shop) -> None:
    """The limit is a mebibyte here."""
    fits, burst = b" " * 1_000_000 + b'{"q":"tent"}', b" " * 1_100_000 + b'{"q":"tent"}'
    for encoding, pack in PACK.items():
        headers = JSON | {"content-encoding": encoding}
        assert (await shop.client.post("/search", content=pack(fits), headers=headers)).status_code == 200
        assert_problem(await shop.client.post("/search", content=pack(burst), headers=headers), 413, "body_too_large")
        assert_problem(await shop.client.post("/search", content=b"{}", headers=headers), 400, "malformed_encoding")


@pytest.mark.parametrize("encoding", ["deflate", "br", "gzip, gzip", "compress", "zip", "gzip;q=1"])
async def test_another_encoding_is_refused_with_the_known_ones(shop: Shop, encoding: str) -> None:
    headers = JSON | {"content-encoding": encoding}
    response = await shop.client.post("/search", content=b"{}", headers=headers)
    assert "gzip or zstd" in str(assert_problem(response, 415, "unsupported_media_type")["detail"])
    assert response.headers["accept-encoding"] == "gzip, zstd"


async def test_decompressing_does_not_hold_the_event_loop() -> None:
    """Sixteen megabytes, the most that a batch may have, while others take turns."""
    limit = 16 << 20
    body = PACK["gzip"](random.Random(1).randbytes(limit // 2).hex().encode())
    read = 0

    async def app(scope, receive, send) -> None:  # type: ignore[no-untyped-def]
        nonlocal read
        read = len((await receive())["body"])

    async def receive() -> dict[str, object]:
        return {"type": "http.request", "body": body, "more_body": False}

    scope = {"type": "http", "path": "/batch", "headers": [(b"content-encoding", b"gzip")]}
    async with watched_turns() as turns:
        await RequestBodyMiddleware(app, max_bytes=limit, max_bytes_at={})(scope, receive, None)  # type: ignore[arg-type]
    assert read == limit
    assert turns.longest < 0.05
