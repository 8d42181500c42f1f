"""Clients that hold connections: slow, silent, too many, or not reading."""

import json
import socket
import time

import pytest

from server.api.transport.protocol import MAX_PIPELINED, MAX_REFUSALS
from tests.hostile.conftest import SMALL, Target
from tests.hostile.wire import Wire, several

GET = b"GET /version HTTP/1.1\r\nHost: shop\r\n\r\n"
CONNECTIONS = int(SMALL[1])
BATCH = b"".join(b'{"kind":"search","q":"tent","k":30}\n' for _ in range(10_000))


def post(path: bytes, body: bytes, *headers: bytes) -> bytes:
    head = [b"POST " + path + b" HTTP/1.1", b"Host: shop", b"Content-Length: %d" % len(body), *headers]
    return b"\r\n".join(head) + b"\r\n\r\n" + body


def assert_it_answers(target: Target) -> None:
    with Wire(target.port) as wire:
        assert wire.send(GET).answer().status == 200


def drip(wire: Wire, data: bytes) -> None:
    """One byte at a time, until the other side has had enough."""
    for byte in data:
        try:
            wire.send(bytes([byte]))
        except (BrokenPipeError, ConnectionResetError):
            return
        wire.socket.settimeout(0.05)
        try:
            if wire.socket.recv(1, socket.MSG_PEEK) is not None:
                break
        except TimeoutError:
            continue
        finally:
            wire.socket.settimeout(60)


@pytest.mark.parametrize("before", [b"", GET], ids=["first", "kept"])
def test_a_head_that_comes_byte_by_byte_is_not_waited_for(target: Target, before: bytes) -> None:
    with Wire(target.port) as wire:
        if before:
            assert wire.send(before).answer().status == 200
        drip(wire, b"GET /version HTTP/1.1\r\nX: " + b"x" * 10_000)
        answer = wire.answer()
        assert (answer.status, answer.problem()) == (408, "request_timeout")
        assert answer.headers["connection"] == "close"
        assert wire.closed()


@pytest.mark.parametrize(
    "framing", [b"Content-Length: 100000", b"Transfer-Encoding: chunked"], ids=["length", "chunked"]
)
def test_a_body_that_comes_byte_by_byte_is_not_waited_for(target: Target, framing: bytes) -> None:
    with Wire(target.port) as wire:
        wire.send(b"POST /search HTTP/1.1\r\nHost: shop\r\nContent-Type: application/json\r\n" + framing + b"\r\n\r\n")
        drip(wire, b"1\r\nx\r\n" * 10_000)
        answer = wire.answer()
        assert (answer.status, answer.problem()) == (408, "request_timeout")


def test_trailers_without_an_end_are_not_waited_for_nor_kept(target: Target) -> None:
    chunked = (
        b"POST /search HTTP/1.1\r\nHost: shop\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    with Wire(target.port) as wire:
        wire.send(chunked + b"2\r\n{}\r\n0\r\n" + b"x: y\r\n" * 50)
        answer = wire.answer()
        assert (answer.status, answer.problem()) == (408, "request_timeout")
    with Wire(target.port) as wire:
        wire.send(chunked + b"2\r\n{}\r\n0\r\n" + b"x: y\r\n" * 50_000)
        answer = wire.answer()
        assert (answer.status, answer.problem()) == (431, "head_too_large")


def test_a_refusal_answers_a_request_once(target: Target) -> None:
    """What was answered before its body came gets no second answer when the body is late."""
    with Wire(target.port) as wire:
        wire.send(b"POST /search HTTP/1.1\r\nHost: a\r\nContent-Encoding: gzip\r\nContent-Length: 9\r\n\r\nx")
        assert wire.answer().problem() == "unsupported_media_type"
        assert list(wire.answers()) == []


def test_a_silent_connection_is_closed(target: Target) -> None:
    with Wire(target.port) as wire:
        assert wire.closed()
    with Wire(target.port) as wire:
        assert wire.send(b"\r\n\r\n").answer().problem() == "request_timeout"


def test_clients_that_hold_all_connections_are_told_and_lose_them(target: Target) -> None:
    with several(target.port, CONNECTIONS) as held:
        for wire in held:
            wire.send(b"G")
        with Wire(target.port) as one_more:
            answer = one_more.send(GET).answer()
            assert (answer.status, answer.problem()) == (503, "too_many_connections")
            assert answer.headers["retry-after"]
        assert {wire.answer().status for wire in held} == {408}
        assert all(wire.closed() for wire in held)
    assert_it_answers(target)


def test_connections_far_above_the_most_are_closed_without_a_word(target: Target) -> None:
    with several(target.port, CONNECTIONS + MAX_REFUSALS + 20) as held:
        ends = [[answer.status for answer in _answers(wire)] for wire in held]
    assert [] in ends
    assert [503] in ends
    assert all(end in ([], [503]) for end in ends)
    while True:  # until those that were refused have left
        with Wire(target.port) as wire:
            if wire.send(GET).answer().status == 200:
                return


def _answers(wire: Wire) -> list[object]:
    try:
        return list(wire.answers())
    except ConnectionResetError:
        return []


def test_one_who_does_not_read_their_answer_is_cut_off(target: Target) -> None:
    """And the work for it ends: else 10,000 lines would be made for nobody, or wait for ever."""
    with Wire(target.port, receive_buffer=4_096) as wire:
        wire.send(post(b"/batch", BATCH, b"Content-Type: application/x-ndjson"))
        assert wire.socket.recv(16).startswith(b"HTTP/1.1 200")
        deadline = time.monotonic() + 60
        while not any(record.get("route") == "/batch" for record in target.logged.records()):
            assert time.monotonic() < deadline, "the batch is still under way"
            time.sleep(0.05)
    assert_it_answers(target)


def test_one_who_reads_slowly_but_reads_gets_all_of_it(target: Target) -> None:
    lines = b"".join(b'{"kind":"search","q":"tent","k":30}\n' for _ in range(400))
    with Wire(target.port, receive_buffer=65_536) as wire:
        wire.send(post(b"/batch", lines, b"Content-Type: application/x-ndjson", b"Connection: close"))
        received = bytearray()
        while part := wire.socket.recv(65_536):
            received += part
            time.sleep(0.01)
    assert received.count(b'"index":') == 400


def test_pipelined_requests_are_answered_in_order_and_only_so_many(target: Target) -> None:
    ids = [b"id-%d" % number for number in range(10_000)]
    requests = b"".join(b"GET /version HTTP/1.1\r\nHost: a\r\nX-Request-ID: " + name + b"\r\n\r\n" for name in ids)
    with Wire(target.port) as wire:
        wire.send(requests)
        answers = list(wire.answers())
    *good, last = answers
    assert {answer.status for answer in good} == {200}
    assert [answer.headers["x-request-id"].encode() for answer in good] == ids[: len(good)]
    assert len(good) >= MAX_PIPELINED
    assert (last.status, last.problem()) == (429, "too_many_concurrent")
    assert_it_answers(target)


def test_what_is_no_request_is_refused_behind_the_answers_before_it(target: Target) -> None:
    slow = b"GET /search?q=tent&k=13 HTTP/1.1\r\nHost: a\r\n\r\n"  # takes the fake engine a second
    body = b"POST /search HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nnonsense\r\n"
    for garbage in (b"\x00\x01 nonsense\r\n\r\n", body, GET + body):
        expected = [200] * (garbage.count(b"GET") + 1) + [400]
        with Wire(target.port) as wire:
            wire.send(slow + garbage)
            assert [wire.answer().status for _ in expected] == expected, garbage


def test_half_a_request_behind_another_is_told_so_after_the_answer(target: Target) -> None:
    slow = b"GET /search?q=tent&k=13 HTTP/1.1\r\nHost: a\r\n\r\n"
    head = b"POST /search HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n"
    for half in (b"GET /vers", head + b"x"):
        with Wire(target.port) as wire:
            wire.send(slow + half)
            answers = [wire.answer(), wire.answer()]
        assert [answer.status for answer in answers] == [200, 408], half
        assert len(json.loads(answers[0].body)["items"]) == 13
