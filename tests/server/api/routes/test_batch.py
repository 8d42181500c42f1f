"""POST /batch: every line is answered, whatever the others are."""

import asyncio
from pathlib import Path

import orjson
import pytest
import structlog

from server.auth.authorizer import Admission
from server.core.errors import HistoryUnavailable
from server.core.settings import Settings
from server.engine.errors import EngineUnavailable
from server.engine.protocol import Ranking, RankRequest
from tests.support.http_shop import Shop
from tests.support.memory_app import create_memory_app
from tests.support.problems import assert_problem
from tests.support.small_shop import RecordingEngine, patient_settings
from tests.support.waiting import PATIENCE_SECONDS

NDJSON = {"content-type": "application/x-ndjson"}


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return patient_settings(tmp_path)


async def ask(shop: Shop, *lines: object) -> list[dict[str, object]]:
    """The answers in the order of the lines."""
    content = b"\n".join(line if isinstance(line, bytes) else orjson.dumps(line) for line in lines)
    response = await shop.client.post("/batch", content=content, headers=NDJSON)
    assert response.status_code == 200, response.text
    assert response.headers["content-type"].startswith("application/x-ndjson")
    answers = [orjson.loads(line) for line in response.content.splitlines()]
    assert sorted(answer["index"] for answer in answers) == list(range(len(lines)))
    return sorted(answers, key=lambda answer: answer["index"])


async def test_lines_are_answered_as_the_same_requests_alone(shop: Shop) -> None:
    await shop.saw("ada", "item-9")
    search, recommend, similar = await ask(
        shop,
        {"kind": "search", "q": "tent", "k": 4, "id": "mine"},
        {"kind": "recommend", "user": "ada", "filter": "price > 9", "fields": ["price"]},
        {"kind": "similar", "item": "tent/2 person", "k": 3, "id": {"any": 1}},
    )
    alone = [
        await shop.get("/search", q="tent", k=4),
        await shop.get("/recommend", user="ada", filter="price > 9", fields="price"),
        await shop.get("/items/tent%2F2%20person/similar", k=3),
    ]
    for line, response in zip((search, recommend, similar), alone, strict=True):
        assert line["answer"]["items"] == response.json()["items"]  # type: ignore[index]
        assert set(line["answer"]) == set(response.json())  # type: ignore[call-overload]
    assert (search["id"], similar["id"]) == ("mine", {"any": 1})
    assert "id" not in recommend


async def test_a_list_of_json_does_too(shop: Shop) -> None:
    response = await shop.client.post("/batch", json=[{"kind": "search", "q": "tent"}, 7])
    first, second = sorted(map(orjson.loads, response.content.splitlines()), key=lambda line: line["index"])
    assert len(first["answer"]["items"]) == 10
    assert second["problem"]["code"] == "invalid_request"


async def test_a_bad_line_spoils_no_other(shop: Shop) -> None:
    lines = await ask(
        shop,
        {"kind": "search", "q": "tent"},
        b"{broken",
        {"kind": "search", "id": 3},
        {"kind": "sing"},
        {"kind": ["search"]},
        {"kind": "search", "q": "tent", "filter": "prise < 3"},
        {"kind": "similar", "item": "nobody"},
        {"kind": "search", "q": "tent", "cursor": "x"},
        {"kind": "recommend", "user": "ada", "history": []},
        {"kind": "recommend", "user": "ada"},
    )
    codes = [line["problem"]["code"] if "problem" in line else "ok" for line in lines]  # type: ignore[index]
    assert codes == [
        "ok", "malformed_json", "invalid_request", "invalid_request", "invalid_request", "invalid_filter",
        "item_not_found", "invalid_cursor", "invalid_request", "ok",
    ]  # fmt: skip
    assert lines[2]["id"] == 3
    assert "q: Field required" in lines[2]["problem"]["detail"]  # type: ignore[index]
    assert lines[5]["problem"]["position"] == 0  # type: ignore[index]


async def test_what_goes_wrong_inside_is_a_problem_of_its_line(
    shop: Shop, engine: RecordingEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    faults = iter([RuntimeError("a secret"), EngineUnavailable("a secret")])

    async def fail(request: RankRequest) -> Ranking:
        raise next(faults)

    monkeypatch.setattr(engine, "rank", fail)  # one that is stopped would be started again
    for code in ("internal_error", "engine_unavailable"):
        (line,) = await ask(shop, {"kind": "search", "q": "tent"})
        assert line["problem"]["code"] == code  # type: ignore[index]
        assert "secret" not in str(line)


async def test_too_many_or_no_lines_are_refused(shop: Shop) -> None:
    line = b'{"kind":"search","q":"a"}\n'
    response = await shop.client.post("/batch", content=line * 10_001, headers=NDJSON)
    assert_problem(response, 413, "too_many_questions")
    assert_problem(await shop.client.post("/batch", content=b"\n \n", headers=NDJSON), 422, "invalid_request")
    assert_problem(await shop.client.post("/batch", json=[]), 422, "invalid_request")
    assert_problem(await shop.client.post("/batch", content=line), 415, "unsupported_media_type")


async def test_some_are_asked_at_a_time_and_each_is_sent_when_it_is_ready(
    shop: Shop, engine: RecordingEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    under_way, most, enough = 0, 0, asyncio.Event()
    rank = engine.rank

    async def slow(request: RankRequest) -> Ranking:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        if len(engine.requests) >= 40:
            enough.set()
        await (enough.wait() if request.k == 13 else asyncio.sleep(0))
        under_way -= 1
        return await rank(request)

    monkeypatch.setattr(engine, "rank", slow)
    lines = [orjson.dumps({"kind": "search", "q": "tent", "k": 13 if i == 0 else 1}) for i in range(60)]
    response = await shop.client.post("/batch", content=b"\n".join(lines), headers=NDJSON)
    answers = [orjson.loads(line) for line in response.content.splitlines()]
    assert all("answer" in line for line in answers)
    order = [line["index"] for line in answers]
    assert sorted(order) == list(range(60))
    assert order.index(0) > 1  # sixteen wait to be sent, as many are under way: it is far behind the second
    assert 1 < most <= 16


async def test_lines_come_in_order_where_that_is_asked_for(
    shop: Shop, engine: RecordingEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first of every ten takes longer than those behind it, of which no more than a window may be held back."""
    rank, begun, done = engine.rank, 0, 0
    most_ahead = 0

    async def slow(request: RankRequest) -> Ranking:
        nonlocal begun, most_ahead
        begun += 1
        most_ahead = max(most_ahead, begun - done)
        for _ in range(20 if request.k == 13 else 1):
            await asyncio.sleep(0)
        return await rank(request)

    def count(line: bytes) -> int:
        nonlocal done
        done += 1
        return int(orjson.loads(line)["index"])

    monkeypatch.setattr(engine, "rank", slow)
    rows = [{"kind": "search", "q": "tent", "k": 13 if n % 10 == 0 else 1} for n in range(60)]
    runner = shop.client._transport.app.state.parts.batch_runner  # type: ignore[attr-defined]
    lines = runner.answers([*map(orjson.dumps, rows)], "r", lambda: asyncio.sleep(0), within=None, ordered=True)
    assert [count(line) async for line in lines] == list(range(60))
    assert 1 < most_ahead <= 16
    content = b"\n".join(map(orjson.dumps, rows))
    response = await shop.client.post("/batch", params={"ordered": "true"}, content=content, headers=NDJSON)
    assert [orjson.loads(line)["index"] for line in response.content.splitlines()] == list(range(60))


async def test_a_client_that_leaves_stops_the_work(
    settings,
    deployments,
    history,
    engine: RecordingEngine,
    monkeypatch: pytest.MonkeyPatch,  # type: ignore[no-untyped-def]
) -> None:
    """Called as a server calls it: after some lines the client is gone."""
    rank, left, sent = engine.rank, asyncio.Event(), []

    async def slow(request: RankRequest) -> Ranking:
        await asyncio.sleep(0.001)
        return await rank(request)

    async def receive() -> dict[str, object]:
        if not sent:
            body = b'{"kind":"search","q":"tent","k":1}\n' * 1_000
            sent.append("body")
            return {"type": "http.request", "body": body, "more_body": False}
        await left.wait()
        return {"type": "http.disconnect"}

    async def send(message: dict[str, object]) -> None:
        sent.append(message["type"])
        if len(sent) == 50:
            left.set()

    monkeypatch.setattr(engine, "rank", slow)
    app = create_memory_app(settings, lambda _: deployments, history=history)
    async with app.router.lifespan_context(app):
        scope = batch_scope()
        await app(scope, receive, send)  # type: ignore[arg-type]
        answered = len(engine.requests)
        assert 40 <= answered < 900
        await asyncio.sleep(0.05)
        assert len(engine.requests) == answered


def batch_scope() -> dict[str, object]:
    return {
        "type": "http", "asgi": {"version": "3.0", "spec_version": "2.3"}, "http_version": "1.1", "method": "POST",
        "scheme": "http", "path": "/batch", "raw_path": b"/batch", "query_string": b"", "root_path": "",
        "headers": [(b"content-type", b"application/x-ndjson")], "client": ("1.2.3.4", 5), "server": ("shop", 80),
    }  # fmt: skip


@pytest.mark.parametrize("failure", [RuntimeError("a secret"), HistoryUnavailable("away")])
async def test_what_goes_wrong_outside_of_a_line_is_a_problem_of_that_line_and_nobody_waits_forever(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, failure: BaseException
) -> None:
    async def fail(admission: Admission) -> None:
        raise failure

    monkeypatch.setattr(Admission, "pace", fail)
    with structlog.testing.capture_logs() as logs:
        async with asyncio.timeout(PATIENCE_SECONDS):
            first, *others = await ask(shop, *[{"kind": "search", "q": "tent", "id": "mine"}] * 40)
    assert [entry["exc_info"] for entry in logs if entry["event"] == "internal_error"] == [failure] * 39
    assert "answer" in first
    for line in others:
        assert line["problem"]["code"] == "internal_error"  # type: ignore[index]
        assert "secret" not in str(line)


async def test_what_waits_for_something_that_is_cancelled_is_a_problem_of_its_line(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(admission: Admission) -> None:
        raise asyncio.CancelledError

    monkeypatch.setattr(Admission, "pace", fail)
    with structlog.testing.capture_logs():
        async with asyncio.timeout(PATIENCE_SECONDS):
            first, *others = await ask(shop, *[{"kind": "search", "q": "tent"}] * 40)
    assert "answer" in first
    assert {line["problem"]["code"] for line in others} == {"internal_error"}  # type: ignore[index]


@pytest.mark.parametrize("place", [1, 5])
async def test_an_engine_that_gives_up_a_question_spoils_no_other_line(
    shop: Shop, engine: RecordingEngine, monkeypatch: pytest.MonkeyPatch, place: int
) -> None:
    rank = engine.rank

    async def give_up(request: RankRequest) -> Ranking:
        if request.k == 13:
            raise asyncio.CancelledError
        return await rank(request)

    monkeypatch.setattr(engine, "rank", give_up)
    with structlog.testing.capture_logs():
        async with asyncio.timeout(PATIENCE_SECONDS):
            lines = await ask(shop, *[{"kind": "search", "q": "tent", "k": 13 if n == place else 1} for n in range(40)])
    assert [n for n, line in enumerate(lines) if "problem" in line] == [place]
