"""When the Python client tries again, how long it waits, and what it raises in the end."""

import email.utils
import time

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gemserve_client import (
    ApiError,
    ConnectionFailed,
    Event,
    Retries,
    Search,
    TimedOut,
    TooManyRequests,
    Unavailable,
)
from gemserve_client.endpoints import Repeat
from gemserve_client.retries import Attempts
from tests.clients.mock_server import ANSWER, mock_server, problem

REFUSED = httpx.ConnectError("refused")
BROKEN = httpx.RemoteProtocolError("closed")


def test_a_server_that_is_busy_for_a_moment_is_asked_again_with_the_same_id():
    server = mock_server(problem(503, "not_ready"), problem(429, "rate_limited"), REFUSED, ANSWER)
    assert server.client().search("tent").model == "m1"
    assert server.pauses == [0.05, 0.1, 0.2]  # half of 0.1, 0.2 and 0.4
    assert len({request.headers["X-Request-ID"] for request in server.requests}) == 1


async def test_the_other_client_does_the_same():
    server = mock_server(problem(503, "not_ready"), problem(429, "rate_limited"), BROKEN, ANSWER)
    async with server.async_client() as client:
        assert (await client.search("tent")).model == "m1"
    assert server.pauses == [0.05, 0.1, 0.2]


def test_it_gives_up_after_so_many_attempts():
    server = mock_server(problem(503, "engine_unavailable"))
    with pytest.raises(Unavailable) as caught:
        server.client(retries=Retries(attempts=3)).search("tent")
    assert caught.value.code == "engine_unavailable"
    assert len(server.requests) == 3


def test_what_the_server_says_about_the_wait_comes_on_top_of_the_random_part():
    date = email.utils.formatdate(time.time() + 5, usegmt=True)
    server = mock_server(
        problem(429, "rate_limited", headers={"Retry-After": "2"}),
        problem(503, "not_ready", headers={"Retry-After": date}),
        problem(503, "not_ready", headers={"Retry-After": "soon"}),
        ANSWER,
    )
    server.client().search("tent")
    assert server.pauses[0] == 2.05
    assert 2 < server.pauses[1] <= 5.1
    assert server.pauses[2] == 0.2


def test_a_wait_beyond_the_total_time_is_not_begun():
    server = mock_server(problem(429, "rate_limited", headers={"Retry-After": "31"}), ANSWER)
    with pytest.raises(TooManyRequests) as caught:
        server.client().search("tent")
    assert caught.value.retry_after == 31.0
    assert server.pauses == []


def test_the_total_time_counts_from_the_first_attempt():
    clock = iter([0.0, 4.0, 8.0])
    attempts = Attempts(
        Retries(attempts=9, total_seconds=8.0), Repeat.HARMLESS, clock=lambda: next(clock), random=lambda: 0.5
    )
    assert attempts.pause_after(REFUSED, "r") == 0.05
    with pytest.raises(ConnectionFailed):
        attempts.pause_after(REFUSED, "r")


@pytest.mark.parametrize(
    ("outcome", "attempts"),
    [(problem(503, "x"), 1), (BROKEN, 1), (problem(429, "x"), 4), (REFUSED, 4), (httpx.ConnectTimeout("slow"), 4)],
    ids=["503", "broken", "429", "refused", "connecting"],
)
@pytest.mark.parametrize("ask", [lambda c: c.create_key("shop", ["read"]), lambda c: c.roll_back()])
def test_what_is_not_harmless_twice_is_only_repeated_where_it_was_surely_not_done(outcome, attempts, ask):
    server = mock_server(outcome)
    with pytest.raises((ApiError, ConnectionFailed, TimedOut)):
        ask(server.client())
    assert len(server.requests) == attempts


@pytest.mark.parametrize(
    "outcome",
    [problem(500, "internal_error"), problem(504, "answer_timeout"), problem(422, "x"), httpx.ReadTimeout("slow")],
    ids=["500", "504", "422", "timeout"],
)
def test_what_will_not_be_better_is_not_repeated(outcome):
    server = mock_server(outcome)
    with pytest.raises((ApiError, TimedOut)):
        server.client().search("tent")
    assert len(server.requests) == 1


def test_readiness_is_about_now():
    server = mock_server(problem(503, "not_ready", checks={"engine": "starting"}))
    with pytest.raises(Unavailable) as caught:
        server.client().ready()
    assert caught.value.members == {"checks": {"engine": "starting"}}
    assert len(server.requests) == 1


def test_events_are_sent_again_under_the_same_ids():
    receipt = {"request_id": "r", "accepted": [{"index": 0, "event_id": "e", "duplicate": True}], "rejected": []}
    server = mock_server(problem(503, "history_unavailable"), httpx.Response(202, json=receipt))
    server.client().send_events([Event(user_id="ann", item_id="A", type="view")])
    first, second = (request.content for request in server.requests)
    assert first == second
    assert b'"event_id"' in first


@pytest.mark.parametrize(
    ("outcome", "error", "words"),
    [
        (REFUSED, ConnectionFailed, "no connection: refused"),
        (BROKEN, ConnectionFailed, "the connection broke: closed"),
        (httpx.ConnectTimeout(""), TimedOut, "no connection: ConnectTimeout"),
        (httpx.ReadTimeout("slow"), TimedOut, "no answer in time: slow"),
    ],
)
def test_an_error_says_what_went_wrong_and_with_which_request(outcome, error, words):
    server = mock_server(outcome)
    with pytest.raises(error, match=words) as caught:
        server.client(request_id=lambda: "mine-1").search("tent")
    assert "mine-1" in str(caught.value)
    assert caught.value.__cause__ is outcome


def test_a_batch_is_asked_again_until_it_begins_and_not_after():
    line = b'{"index":0,"problem":{"status":422,"code":"invalid_filter","detail":"d"}}\n'

    def broken():
        yield line
        raise BROKEN

    server = mock_server(problem(503, "not_ready"), httpx.Response(200, content=broken()))
    results = server.client().batch([Search("a"), Search("b")])
    assert next(results).error.code == "invalid_filter"
    with pytest.raises(ConnectionFailed):
        next(results)
    assert len(server.requests) == 2


@given(attempt=st.integers(1, 10_000), random=st.floats(0, 1, exclude_max=True))
def test_a_pause_is_never_over_its_limit(attempt, random):
    retries = Retries()
    pause = retries.pause(attempt, random)
    assert 0 <= pause <= min(retries.longest_seconds, retries.first_seconds * 2.0 ** min(attempt - 1, 100))


def test_at_least_one_attempt_is_needed():
    with pytest.raises(ValueError, match="attempts is 0"):
        Retries(attempts=0)
