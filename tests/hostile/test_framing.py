"""Requests whose framing lies: what one reader takes for one request and another for two (request smuggling)."""

import json
import zlib

import brotli
import pytest
from backports import zstd
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from server.api.transport.protocol import MAX_HEADERS
from tests.hostile.conftest import Target
from tests.hostile.wire import Answer, Wire

JSON = b"Content-Type: application/json\r\n"
SMUGGLED = b"GET /version?smuggled HTTP/1.1\r\nHost: a\r\n\r\n"
HEAD = b"POST /search HTTP/1.1\r\nHost: a\r\n" + JSON


def framed(*headers: bytes, body: bytes = b"") -> bytes:
    return HEAD + b"".join(header + b"\r\n" for header in headers) + b"\r\n" + body


def ask(target: Target, data: bytes) -> Answer:
    with Wire(target.port) as wire:
        return wire.send(data).answer()


REFUSED = {
    "length and chunked": framed(b"Content-Length: 4", b"Transfer-Encoding: chunked", body=b"0\r\n\r\n" + SMUGGLED),
    "chunked and length": framed(b"Transfer-Encoding: chunked", b"Content-Length: 4", body=b"0\r\n\r\n" + SMUGGLED),
    "two lengths": framed(b"Content-Length: 2", b"Content-Length: 40", body=b"{}" + SMUGGLED),
    "two equal lengths": framed(b"Content-Length: 2", b"Content-Length: 2", body=b"{}"),
    "a list of lengths": framed(b"Content-Length: 2, 40", body=b"{}" + SMUGGLED),
    "a negative length": framed(b"Content-Length: -1", body=b"{}"),
    "a signed length": framed(b"Content-Length: +2", body=b"{}"),
    "a hexadecimal length": framed(b"Content-Length: 0x2", body=b"{}"),
    "a length beyond all": framed(b"Content-Length: " + b"9" * 40, body=b"{}"),
    "chunked in disguise": framed(b"Transfer-Encoding: xchunked", body=b"0\r\n\r\n" + SMUGGLED),
    "chunked and more": framed(b"Transfer-Encoding: chunked, identity", body=b"0\r\n\r\n" + SMUGGLED),
    "space before the colon": framed(b"Content-Length : 2", body=b"{}"),
    "space before the colon of chunked": framed(b"Transfer-Encoding : chunked", body=b"0\r\n\r\n" + SMUGGLED),
    "a folded header": framed(b"Transfer-Encoding:\r\n chunked", b"Content-Length: 2", body=b"{}" + SMUGGLED),
    "bare line feeds": HEAD.replace(b"\r\n", b"\n") + b"Content-Length: 2\n\n{}",
    "one bare line feed": framed(b"X: y\nContent-Length: 40", b"Content-Length: 2", body=b"{}" + SMUGGLED),
    "a bare carriage return": framed(b"X: y\rContent-Length: 40", b"Content-Length: 2", body=b"{}"),
    "NUL in a header": framed(b"X: a\x00b", b"Content-Length: 2", body=b"{}"),
    "NUL in a name": framed(b"X\x00Y: a", b"Content-Length: 2", body=b"{}"),
    "a chunk that lies": framed(b"Transfer-Encoding: chunked", body=b"1\r\n{}\r\n0\r\n\r\n"),
    "a chunk of no size": framed(b"Transfer-Encoding: chunked", body=b"\r\n{}\r\n0\r\n\r\n"),
    "a chunk beyond all": framed(b"Transfer-Encoding: chunked", body=b"F" * 20 + b"\r\n{}"),
    "a negative chunk": framed(b"Transfer-Encoding: chunked", body=b"-2\r\n{}\r\n0\r\n\r\n"),
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "HTTP/9": b"GET / HTTP/9.9\r\nHost: a\r\n\r\n",
    "no version": b"GET /\r\n\r\n",
    "no path": b"GET  HTTP/1.1\r\nHost: a\r\n\r\n",
    "a tunnel": b"CONNECT internal:6379 HTTP/1.1\r\nHost: a\r\n\r\n",
    "a server": b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n",
    "bytes that are no ASCII": b"GET /items/\xff\xfe HTTP/1.1\r\nHost: a\r\n\r\n",
}


@pytest.mark.parametrize("data", REFUSED.values(), ids=REFUSED)
def test_ambiguous_framing_is_refused(target: Target, data: bytes) -> None:
    """And what hides in a body is never answered."""
    with Wire(target.port) as wire:
        answer = wire.send(data).answer()
        assert answer.status in {400, 404, 405}, answer
        answer.problem()
        if answer.status == 400:
            assert answer.headers["connection"] == "close"
    smuggled = [record for record in target.logged.records() if record.get("route") == "/version"]
    assert not smuggled


@pytest.mark.parametrize("encoding", [b"gzip, chunked", b"deflate, chunked"])
def test_an_encoding_of_the_transfer_is_not_read(target: Target, encoding: bytes) -> None:
    answer = ask(target, framed(b"Transfer-Encoding: " + encoding, body=b"2\r\n{}\r\n0\r\n\r\n"))
    assert (answer.status, answer.problem()) == (415, "unsupported_media_type")


BOMB = b"0" * (64 << 20)
UNKNOWN = {
    "deflate": zlib.compress(BOMB),
    "br": brotli.compress(BOMB, quality=1),
    "gzip, gzip": zlib.compress(zlib.compress(BOMB, wbits=31), wbits=31),
}
BOMBS = {
    "gzip": zlib.compress(BOMB, wbits=31),
    "GZip": zlib.compress(BOMB, wbits=31),
    "zstd": zstd.compress(BOMB),
}


def packed(encoding: str, body: bytes) -> tuple[bytes, bytes]:
    return b"Content-Encoding: " + encoding.encode(), b"Content-Length: %d" % len(body)


@pytest.mark.parametrize("encoding", UNKNOWN)
def test_bodies_of_unknown_encodings_are_refused_unread(target: Target, encoding: str) -> None:
    headers = packed(encoding, UNKNOWN[encoding])
    for data in (framed(*headers, body=UNKNOWN[encoding]), framed(*headers)):  # the second sends nothing of it
        answer = ask(target, data)
        assert (answer.status, answer.problem()) == (415, "unsupported_media_type")


@pytest.mark.parametrize("encoding", BOMBS)
def test_bombs_are_refused_at_the_limit(target: Target, encoding: str) -> None:
    answer = ask(target, framed(*packed(encoding, BOMBS[encoding]), body=BOMBS[encoding]))
    assert (answer.status, answer.problem()) == (413, "body_too_large")


@pytest.mark.parametrize("body", [b"", b"{}", b"\x1f\x8b", b"\x28\xb5\x2f\xfd"])
@pytest.mark.parametrize("encoding", ["gzip", "zstd"])
def test_what_is_not_what_it_says_is_refused(target: Target, encoding: str, body: bytes) -> None:
    answer = ask(target, framed(*packed(encoding, body), body=body))
    assert (answer.status, answer.problem()) == (400, "malformed_encoding")


def test_a_body_that_says_it_is_too_large_is_refused_unread(target: Target) -> None:
    answer = ask(target, framed(b"Content-Length: 9999999999"))
    assert (answer.status, answer.problem()) == (413, "body_too_large")


def test_a_chunked_body_that_grows_too_large_is_refused(target: Target) -> None:
    chunk = b"10000\r\n" + b" " * 0x10000 + b"\r\n"
    answer = ask(target, framed(b"Transfer-Encoding: chunked", body=chunk * 40))
    assert (answer.status, answer.problem()) == (413, "body_too_large")


def test_headers_have_a_number(target: Target) -> None:
    few = b"GET /version HTTP/1.1\r\n" + b"a: b\r\n" * MAX_HEADERS + b"\r\n"
    assert ask(target, few).status == 200
    answer = ask(target, few.replace(b"\r\n\r\n", b"\r\na: b\r\n\r\n"))
    assert (answer.status, answer.problem()) == (431, "head_too_large")


def test_headers_behind_the_body_are_not_believed(target: Target) -> None:
    """A trailer is not the request's id, nor anything else of it."""
    trailer = b"2\r\n{}\r\n0\r\nX-Request-ID: forged\r\n\r\n"
    answer = ask(target, framed(b"Transfer-Encoding: chunked", b"X-Request-ID: honest", body=trailer))
    assert answer.headers["x-request-id"] == "honest"
    assert answer.problem() == "invalid_request"


@pytest.mark.parametrize("upgrade", [b"websocket", b"h2c", b"TLS/1.0"])
def test_an_upgrade_is_not_made(target: Target, upgrade: bytes) -> None:
    with Wire(target.port) as wire:
        wire.send(b"GET /health/live HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: " + upgrade + b"\r\n\r\n")
        assert wire.answer().status == 200


def test_what_a_client_calls_its_request_is_not_reflected_into_headers(target: Target) -> None:
    for name in (b"a\tb", b"x" * 65, b"a b", b"\xc3\xa9", b"a;b", b'"', b"<script>"):
        answer = ask(target, b"GET /health/live HTTP/1.1\r\nX-Request-ID: " + name + b"\r\n\r\n")
        assert answer.headers["x-request-id"].isalnum()
        assert len(answer.headers["x-request-id"]) == 32
    for target_path in (b"/%0d%0aSet-Cookie:%20a=b", b"/items/%0d%0aX:%20y", b"/search?q=%0d%0aX:%20y&k=1"):
        answer = ask(target, b"GET " + target_path + b" HTTP/1.1\r\nHost: a\r\n\r\n")
        assert answer.status in {200, 404, 422}
        assert answer.headers.get("set-cookie") is None
        assert answer.headers.get("x") is None


PATHS = [
    "/static/..%2f..%2fapp.py", "/static/../../app.py", "/static/%2e%2e/%2e%2e/app.py", "/static/..%5c..%5capp.py",
    "/static//etc/passwd", "/static/%2fetc%2fpasswd", "/static/....//....//app.py", "/static/%00", "/static/a%00.css",
    "/static/", "/static", "/static/.", "/static/%c0%ae%c0%ae/app.py", "/static/..;/app.py", "/docs/../app.py",
    "/docs/%2e%2e/app.py", "/static/" + "a/" * 2_000, "/static/" + "a" * 5_000, "/static/%ED%A0%80", "//evil.example/",
    "/static/..%252fapp.py", "/openapi.json/..", "/static/app.js/", "/static/app.js%00", "/static/app.js%20",
]  # fmt: skip


@pytest.mark.parametrize("path", PATHS)
def test_no_path_leads_out_of_the_page(target: Target, path: str) -> None:
    answer = ask(target, b"GET " + path.encode() + b" HTTP/1.1\r\nHost: a\r\n\r\n")
    assert answer.status in {404, 405, 400}, answer
    answer.problem()


PIECES = [
    b"GET", b"POST", b" ", b"/search", b"/batch", b"?q=", b"HTTP/1.1", b"HTTP/1.0", b"\r\n", b"\n", b"\r", b":",
    b"\r\n\r\n", b"Host: a\r\n", b"Content-Length: ", b"Transfer-Encoding: chunked\r\n", b"0", b"2", b"{}",
    b"0\r\n\r\n", b"Connection: close\r\n", b"Connection: upgrade\r\nUpgrade: h2c\r\n", b"Expect: 100-continue\r\n",
    JSON, b"%", b"%00", b"%ff", b"\x00", b"\xff", b";",
]  # fmt: skip
pieces = st.sampled_from(PIECES)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.lists(pieces, max_size=14).map(b"".join) | st.binary(max_size=64))
def test_any_bytes_get_an_answer_of_ours_or_none(target: Target, data: bytes) -> None:
    with Wire(target.port) as wire:
        wire.send(data + b"\r\n\r\n\x00\r\n\r\n")  # so that the last of it cannot be half a request
        for answer in wire.answers():
            if answer.status == 100:
                continue
            assert answer.status < 500, answer
            if answer.status >= 400:
                answer.problem()
            elif answer.headers["content-type"] == "application/json":
                json.loads(answer.body)
            if answer.headers.get("connection") == "close":
                break


@pytest.mark.parametrize(
    "address",
    [
        "/search?q=käse".encode(),
        b"/search?q=red tent",
        b"/search?q=k\xe4se",
        "/items/帐篷".encode(),
        b"/search?q=a\x07b",
    ],
)
def test_an_address_that_is_not_encoded_is_told_so(target: Target, address: bytes) -> None:
    whole = b"GET " + address + b" HTTP/1.1\r\nHost: shop\r\n\r\n"
    with Wire(target.port) as wire:
        wire.send(b"GET /version HTTP/1.1\r\nHost: shop\r\n\r\n" + whole)
        assert wire.answer().status == 200
        answer = wire.answer()
        assert (answer.status, answer.problem()) == (400, "malformed_url")
        assert "encode the address, as in /" in answer.json()["detail"]
    with Wire(target.port) as wire:
        for byte in whole[:60]:
            wire.send(bytes([byte]))
        assert wire.answer().problem() == "malformed_url"


@pytest.mark.parametrize("address", [b'/search?q="red"|x', b"/search?q={x}^`", b"/search?q=<b>"])
def test_an_address_that_is_plain_enough_is_read(target: Target, address: bytes) -> None:
    assert ask(target, b"GET " + address + b" HTTP/1.1\r\nHost: shop\r\n\r\n").status == 200
