"""What the Python client sends, and what it makes of answers, without a network."""

import datetime
import gzip
import inspect
import json
import logging

import httpx
import pytest

from gemserve_client import (
    AnswerTimedOut,
    ApiError,
    AsyncClient,
    Client,
    Conflict,
    ConnectionFailed,
    Event,
    Forbidden,
    GemserveError,
    InvalidRequest,
    NotFound,
    Recommend,
    Search,
    Seen,
    ServerFault,
    Similar,
    Timeouts,
    TooManyRequests,
    Unauthenticated,
    Unavailable,
    UnexpectedAnswer,
    batch,
)
from tests.clients.mock_server import ANSWER, mock_server, problem

KEY = "gsk_abc_0123456789secret"


def sent(server, request=0):
    return json.loads(server.requests[request].content)


@pytest.mark.parametrize("key", ["gsk_…", "gsk_a b", "gsk_a\n", "gsk_ä", "gsk_\x7f"])
@pytest.mark.parametrize("kind", [Client, AsyncClient])
def test_a_key_that_cannot_be_one_is_told_plainly_and_not_repeated(kind, key):
    """The README's `gsk_…`, copied, was a UnicodeEncodeError."""
    with pytest.raises(GemserveError, match="which no key has: give it whole") as raised:
        kind("http://shop", key=key)
    assert "gsk_" not in str(raised.value)


def test_whole_numbers_are_ids():
    server = mock_server(ANSWER)
    server.client().recommend(user=7, candidates=[8], history=[9, Seen(10)])
    assert sent(server) == {"user": 7, "candidates": [8], "history": [9, {"item_id": 10}]}
    server.client().similar(11)
    assert server.requests[1].url.path.endswith("/items/11/similar")


def test_a_question_is_sent_as_it_was_asked_and_its_answer_has_types():
    body = ANSWER | {
        "corrected_query": "tent",
        "items": [
            {
                "id": "A",
                "title": None,
                "score": -1,
                "relevance": 1,
                "price": 80.0,
                "reason": {"code": "history", "item": "B", "text": "Like B", "source": "taste"},
                "matched": [{"word": "tent", "field": "categories", "start": 3, "end": 7, "index": 0}],
                "explanation": {
                    "levels": [{"code": "<a_1>", "probability": 0.5}],
                    "history_effect": None,
                    "shares": {"model": -2, "words": 1.0},
                },
            }
        ],
        "mood": "sunny",
    }
    server = mock_server(body)
    answer = server.client(key=KEY).search("tnet", user="ann", k=3, filter="price < 100", fields=["price"])
    assert sent(server) == {"q": "tnet", "user": "ann", "k": 3, "filter": "price < 100", "fields": ["price"]}
    request = server.requests[0]
    assert (request.method, str(request.url)) == ("POST", "http://shop/api/search")
    assert request.headers["Authorization"] == f"Bearer {KEY}"
    assert request.headers["User-Agent"].startswith("gemserve-client/0.1.0 Python/3.")
    (item,) = answer.items
    assert (item.id, item.title, item.fields) == ("A", None, {"price": 80.0})
    assert (item.score, item.relevance) == (-1, 1)
    assert (item.reason.code, item.reason.item, item.reason.source) == ("history", "B", "taste")
    (match,) = item.matched
    assert (match.word, match.field, match.start, match.end, match.index) == ("tent", "categories", 3, 7, 0)
    assert item.explanation.levels[0].probability == 0.5
    assert item.explanation.shares == {"model": -2, "words": 1.0}
    assert answer.corrected_query == "tent"
    assert answer.extra == {"mood": "sunny"}


def test_a_visitor_is_asked_for_with_what_they_saw():
    server = mock_server(ANSWER)
    server.client().recommend(history=["A", Seen("B", query="tent"), Seen("C")])
    assert sent(server) == {"history": ["A", {"item_id": "B", "query": "tent"}, {"item_id": "C"}]}


def test_names_are_quoted_in_addresses():
    server = mock_server(ANSWER)
    server.client().similar("tent/2 person?κ", k=2, fields=["price", "brand"])
    assert server.requests[0].url.raw_path == (
        b"/api/items/tent%2F2%20person%3F%CE%BA/similar?k=2&fields=price&fields=brand"
    )


def test_pages_follow_the_cursor_to_its_end():
    server = mock_server(ANSWER | {"next_cursor": "c1"}, ANSWER | {"next_cursor": "c2"}, ANSWER)
    assert len(list(server.client().pages(Search("tent", user="ann")))) == 3
    assert [sent(server, i).get("cursor") for i in range(3)] == [None, "c1", "c2"]
    assert {sent(server, i)["user"] for i in range(3)} == {"ann"}


def test_similar_items_have_pages_too():
    server = mock_server(ANSWER | {"next_cursor": "c+1"}, ANSWER)
    assert len(list(server.client().pages(Similar("A")))) == 2
    assert server.requests[1].url.raw_path == b"/api/items/A/similar?cursor=c%2B1"


def test_a_batch_in_order_says_so():
    line = json.dumps({"index": 0, "answer": ANSWER}) + "\n"
    server = mock_server(*(httpx.Response(200, text=line) for _ in range(2)))
    list(server.client().batch([Search("tent", limit=2)], ordered=True))
    list(server.client().batch([Search("tent")]))
    assert [request.url.query for request in server.requests] == [b"ordered=true", b""]
    assert sent(server) == {"kind": "search", "q": "tent", "limit": 2}


def test_large_bodies_are_compressed_where_that_is_asked_for():
    receipt = {"request_id": "r1", "accepted": [], "rejected": []}
    events = [Event(user_id="ann", item_id="A", type="view")] * 50
    server = mock_server(receipt)
    server.client(compress=True).send_events(events)
    server.client(compress=True).send_events(events[:1])
    server.client().send_events(events)
    large, small, plain = server.requests
    assert large.headers["Content-Encoding"] == "gzip"
    assert json.loads(gzip.decompress(large.content)) == json.loads(plain.content)
    assert len(large.content) < len(plain.content) / 5
    assert "Content-Encoding" not in small.headers.keys() | plain.headers.keys()


async def test_the_other_client_pages_and_batches_alike():
    server = mock_server(ANSWER | {"next_cursor": "c1"}, ANSWER)
    async with server.async_client() as client:
        assert [page.next_cursor async for page in client.pages(Search("tent"))] == ["c1", None]
    lines = json.dumps({"index": 0, "answer": ANSWER}) + "\n"
    server = mock_server(httpx.Response(200, content=lines))
    async with server.async_client() as client:
        results = [result async for result in client.batch([Recommend(user="ann")])]
    assert results[0].unwrap().items[0].id == "A"


ROWS = (
    json.dumps({"index": 0, "id": "A", "result": "updated"})
    + "\n"
    + json.dumps(
        {"index": 1, "id": "B", "problem": {"status": 404, "code": "item_not_found", "detail": "no such item"}}
    )
    + "\n"
).encode()


def pieces(lines):
    return [lines[i : i + 7] for i in range(0, len(lines), 7)]


def check_import(results, request):
    assert [(result.index, result.id, result.result) for result in results] == [(0, "A", "updated"), (1, "B", None)]
    assert (results[0].error, results[1].error.code) == (None, "item_not_found")
    assert (request.method, request.url.path, request.url.query) == (
        *("POST", "/api/items/import", b"action=update&dry_run=true"),
    )
    assert request.headers["Content-Type"] == "application/x-ndjson"
    assert [json.loads(line) for line in request.content.splitlines()] == [{"id": "A", "price": 3}, {"id": "B"}]


RECORDS = [{"id": "A", "price": 3}, {"id": "B"}]


async def test_an_import_is_lines_with_a_result_for_each():
    server = mock_server(httpx.Response(200, content=iter(pieces(ROWS))))
    check_import(list(server.client().import_items(iter(RECORDS), action="update", dry_run=True)), server.requests[0])
    server = mock_server(httpx.Response(200, content=ROWS))
    async with server.async_client() as client:
        results = [result async for result in client.import_items(RECORDS, action="update", dry_run=True)]
    check_import(results, server.requests[0])


def test_an_import_that_ends_early_says_how_much_is_unknown(monkeypatch):
    server = mock_server(httpx.Response(200, content=ROWS[: ROWS.index(b"\n") + 5]))
    results = server.client().import_items(RECORDS)
    assert next(results).result == "updated"
    with pytest.raises(ConnectionFailed, match="1 items were not answered"):
        next(results)
    for line in (b'{"index": 1, "result": "updated"}\n', b'{"index": 0}\n', b"[]\n", b"no\n"):
        with pytest.raises(UnexpectedAnswer):
            list(mock_server(httpx.Response(200, content=line)).client().import_items(RECORDS))
    monkeypatch.setattr(batch, "MAX_LINES", 1)
    line = b'{"index": 0, "id": "A", "result": "inserted"}\n'
    server = mock_server(*(httpx.Response(200, content=line) for _ in range(2)))
    assert [result.index for result in server.client().import_items(RECORDS, action="create")] == [0, 1]
    assert len(server.requests) == 2


@pytest.mark.parametrize("name", ["synonyms", "overrides"])
async def test_many_synonyms_and_overrides_are_lines_with_a_result_for_each(name):
    server = mock_server(httpx.Response(200, content=iter(pieces(ROWS))), httpx.Response(200, content=ROWS))
    results = list(getattr(server.client(), f"import_{name}")(iter(RECORDS)))
    async with server.async_client() as client:
        again = [result async for result in getattr(client, f"import_{name}")(RECORDS)]
    for found in (results, again):
        assert [(result.index, result.result) for result in found] == [(0, "updated"), (1, None)]
    for request in server.requests:
        assert (request.method, request.url.raw_path) == ("POST", f"/api/{name}/import".encode())
        assert [json.loads(line) for line in request.content.splitlines()] == RECORDS


async def test_an_export_is_items():
    lines = b'{"id": "A", "title": "Tent", "price": 80.0}\n{"id": "B", "title": null, "price": 3}\n'
    server = mock_server(httpx.Response(200, content=iter(pieces(lines))))
    items = list(server.client().export_items(filter="price > 2", fields=["price"]))
    assert [(item.id, item.title, item.fields["price"]) for item in items] == [("A", "Tent", 80.0), ("B", None, 3)]
    assert server.requests[0].url.params.multi_items() == [("filter", "price > 2"), ("fields", "price")]
    server = mock_server(httpx.Response(200, content=lines[:-9]))
    async with server.async_client() as client:
        found = client.export_items()
        assert (await anext(found)).id == "A"
        with pytest.raises(ConnectionFailed, match="in the middle"):
            await anext(found)


@pytest.mark.parametrize("own", [{"relevance": None}, {}], ids=str)
def test_relevance_is_none_where_a_server_has_not_learned_it(own):
    server = mock_server(ANSWER | {"items": [{"id": "A", "title": "Tent", "score": -1.0, **own}]})
    (item,) = server.client().search("tent").items
    assert (item.score, item.relevance, item.fields) == (-1.0, None, {})


def test_a_batch_is_lines_and_its_results_know_their_questions():
    title = "one line\u2028still the same"
    answer = ANSWER | {"items": [{"id": "A", "title": title, "score": -1.0, "relevance": 1.0}]}
    lines = (
        json.dumps({"index": 1, "answer": answer}, ensure_ascii=False)
        + "\n"
        + json.dumps({"index": 0, "problem": {"status": 404, "code": "item_not_found", "detail": "no such item"}})
        + "\n"
    ).encode()
    chunks = [lines[i : i + 7] for i in range(0, len(lines), 7)]
    server = mock_server(httpx.Response(200, content=iter(chunks)))
    questions = [Similar("X"), Search("tent", k=1)]
    first, second = server.client().batch(iter(questions))
    assert server.requests[0].content == b'{"kind": "similar", "item": "X"}\n{"kind": "search", "k": 1, "q": "tent"}'
    assert server.requests[0].headers["Content-Type"] == "application/x-ndjson"
    assert (first.index, first.question, first.answer.items[0].title) == (1, questions[1], title)
    assert (second.index, second.question) == (0, questions[0])
    with pytest.raises(NotFound):
        second.unwrap()


def test_more_questions_than_fit_a_request_are_asked_in_turn(monkeypatch):
    monkeypatch.setattr(batch, "MAX_LINES", 3)

    def answer(request):
        rows = range(len(request.content.splitlines()))
        return httpx.Response(200, text="".join(json.dumps({"index": i, "answer": ANSWER}) + "\n" for i in rows))

    asked = []

    def questions():
        for i in range(4):
            asked.append(i)
            yield Search("tent")

    with Client("http://shop", transport=httpx.MockTransport(answer)) as client:
        results = client.batch(questions())
        assert next(results).index == 0
        assert len(asked) == 3
        assert [result.index for result in results][-1] == 3


@pytest.mark.parametrize(
    ("lines", "error"),
    [
        (b"", ConnectionFailed),
        (b'{"index":0,"ans', ConnectionFailed),
        (b'{"index":7,"answer":{}}\n', UnexpectedAnswer),
        (b'{"index":[0],"answer":{}}\n', UnexpectedAnswer),
        (b"nonsense\n", UnexpectedAnswer),
        (b"[]\n", UnexpectedAnswer),
    ],
)
def test_a_batch_that_ends_early_or_makes_no_sense_is_an_error(lines, error):
    server = mock_server(httpx.Response(200, content=lines))
    with pytest.raises(error):
        list(server.client().batch([Search("tent")]))


def test_events_go_out_in_thousands_and_indexes_are_of_the_whole():
    def answer(request):
        rows = json.loads(request.content)
        if rows[0]["item_id"] == "bad":
            rejected = [{"index": i, "field": "type", "code": "enum", "reason": "no"} for i in range(len(rows))]
            return problem(422, "invalid_event", rejected=rejected)
        accepted = [
            {"index": i, "event_id": row["event_id"], "duplicate": False, "known": i > 0} for i, row in enumerate(rows)
        ]
        return httpx.Response(202, json={"request_id": "r", "accepted": accepted, "rejected": []})

    events = [Event(user_id="ann", type="view", item_id="A" if i < 2_000 else "bad") for i in range(2_500)]
    with Client("http://shop", transport=httpx.MockTransport(answer)) as client:
        receipt = client.send_events(events)
    assert [row.event_id for row in receipt.accepted] == [event.event_id for event in events[:2_000]]
    assert [row.index for row in receipt.accepted if not row.known] == [0, 1_000]
    assert [row.index for row in receipt.rejected] == list(range(2_000, 2_500))
    assert {row.field for row in receipt.rejected} == {"type"}
    assert receipt.request_ids == ("r", "r", "r9")


def test_an_event_without_a_type_is_not_made():
    with pytest.raises(TypeError, match="type"):
        Event(user_id="ann", item_id="A")


def test_no_events_are_no_request():
    server = mock_server(ANSWER)
    assert server.client().send_events([]).accepted == ()
    assert server.requests == []


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, InvalidRequest),
        (401, Unauthenticated),
        (403, Forbidden),
        (404, NotFound),
        (405, InvalidRequest),
        (409, Conflict),
        (413, InvalidRequest),
        (422, InvalidRequest),
        (429, TooManyRequests),
        (500, ServerFault),
        (502, ServerFault),
        (503, Unavailable),
        (504, AnswerTimedOut),
    ],
)
def test_a_problem_is_an_exception_of_its_kind(status, error):
    faults = [{"field": "k", "code": "less_than_equal", "message": "at most 200"}]
    server = mock_server(problem(status, "some_code", errors=faults, position=3))
    with pytest.raises(ApiError) as caught:
        server.client().item("A")
    assert type(caught.value) is error
    assert (caught.value.status, caught.value.code, caught.value.request_id) == (status, "some_code", "r9")
    assert caught.value.detail == "because of some_code"
    assert caught.value.errors == faults
    assert caught.value.members == {"position": 3}


def test_an_error_from_in_between_is_one_too():
    server = mock_server(httpx.Response(502, text="<h1>Bad Gateway</h1>"))
    with pytest.raises(ServerFault, match=r"Bad Gateway \(http_error, status 502, request mine\)"):
        server.client(request_id=lambda: "mine").version()


def test_a_redirect_is_not_followed_with_the_key():
    server = mock_server(httpx.Response(302, headers={"Location": "http://elsewhere/"}))
    with pytest.raises(ServerFault):
        server.client(key=KEY).version()
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({k: v for k, v in ANSWER.items() if k != "model"}, "the answer has no model"),
        (ANSWER | {"took_ms": "1"}, r"the answer\.took_ms is of an unexpected type, str"),
        (ANSWER | {"items": {}}, r"the answer\.items should be a list"),
        (ANSWER | {"items": [3]}, r"the answer\.items\[0\] should be an object"),
        ([], "the answer should be an object"),
    ],
)
def test_an_answer_that_is_none_says_what_is_wrong_with_it(body, words):
    server = mock_server(httpx.Response(200, json=body))
    with pytest.raises(UnexpectedAnswer, match=words):
        server.client().search("tent")


def test_an_answer_that_is_no_json_is_told():
    with pytest.raises(UnexpectedAnswer, match="no JSON"):
        mock_server(httpx.Response(200, text="<html>")).client().version()


COUNTS = {
    **{"intents": 4, "users": 3, "clicked": 2, "converted": 0, "mean_position": 1.5, "value": 0, "unanswered": 0},
    "click_rate": {"rate": 0.5, "low": 0.15, "high": 0.85},
    "conversion_rate": {"rate": 0.0, "low": 0.0, "high": 0.49},
}
DAYS = {"first": "2026-11-01", "last": "2026-11-30"}


@pytest.mark.parametrize("name", ["queries", "no-results", "no-clicks"])
def test_reports_of_queries(name):
    server = mock_server(DAYS | {"queries": [COUNTS | {"query": "tent"}]})
    method = getattr(server.client(), f"analytics_{name.replace('-', '_')}")
    (query,) = method(first=datetime.date(2026, 11, 1), last="2026-11-30", limit=3, least=2).queries
    asked = b"first=2026-11-01&last=2026-11-30&limit=3&least=2"
    assert server.requests[0].url.raw_path == f"/api/analytics/{name}?".encode() + asked
    assert (query.query, query.intents, query.mean_position, query.click_rate.high) == ("tent", 4, 1.5, 0.85)


def test_reports_by_day_and_of_an_experiment():
    day = COUNTS | {"model": "b", "kind": "search", "day": "2026-11-02", "degraded": 1}
    server = mock_server(DAYS | {"metrics": [day]})
    (row,) = server.client().analytics_metrics(model="b").metrics
    assert server.requests[0].url.raw_path == b"/api/analytics/metrics?model=b"
    assert (row.day, row.kind, row.degraded, row.conversion_rate.rate) == ("2026-11-02", "search", 1, 0.0)
    version = {"users": 10, "reached": 5, "rate": COUNTS["click_rate"]}
    against = {"difference": 0.1, "low": -0.2, "high": 0.4, "p_value": 0.5, "decided": False}
    versions = [version | {"model": "a", "against": None}, version | {"model": "b", "against": against}]
    server = mock_server(DAYS | {"goal": "click", "baseline": "a", "versions": versions, "decided": False})
    found = server.client().analytics_experiment(goal="click")
    assert server.requests[0].url.raw_path == b"/api/analytics/experiment?goal=click"
    assert (found.baseline, found.versions[0].against, found.versions[1].against.low) == ("a", None, -0.2)


def test_a_fleet_has_its_servers():
    member = {"name": "a-1", "address": "a:80", "here": True, "live": True, "epoch": 2, "versions": ["v"]}
    change = {"current": "w", "traffic": {"w": 100}, "waits_for": ["a:80"]}
    told = {"name": "shop", "epoch": 2, "current": "v", "previous": "u", "traffic": {"v": 100}, "passing": False}
    told |= {"configured": {"version": "w", "problem": None}}
    server = mock_server(told | {"change": change, "members": [member | {"problem": None, "lease_ms": 9}]})
    fleet = server.client().fleet()
    assert server.requests[0].url.raw_path == b"/api/admin/fleet"
    assert (fleet.current, fleet.change.waits_for, fleet.members[0].versions) == ("v", ("a:80",), ("v",))
    assert fleet.members[0].lease_ms == 9
    assert fleet.configured.version == "w"


def test_a_models_report():
    measures = {"questions": 40, "values": {"ndcg@10": 0.8}, "intervals": {"ndcg@10": [0.7, 0.9]}}
    report = {"protocol": "p", "questions": "test", "catalog_size": 3, "beam_width": 5, "exclude_seen": True}
    manifest = {"created": "c", "engine": "vllm", "method": "gems", "base_model": "b", "identifiers": "semantic"}
    body = {
        **{"version": "b/1", "role": None, "weight": None, "failure": {"reason": "no memory", "at": 1}},
        **{"rollout": {"step": "checking", "since": 2}, "report": report | {"tasks": {"search": {"bm25": measures}}}},
        **{"manifest": manifest | {"code_sizes": [4, 8], "items": 3}, "golden": None},
    }
    server = mock_server(body)
    found = server.client().model("b/1")
    assert server.requests[0].url.raw_path == b"/api/admin/models/b%2F1"
    assert found.report.tasks["search"]["bm25"].intervals == {"ndcg@10": (0.7, 0.9)}
    assert (found.rollout.step, found.failure.reason, found.manifest.code_sizes) == ("checking", "no memory", (4, 8))


def test_keys_are_in_no_repr_and_no_log(caplog):
    minted = {
        "id": "k1",
        "name": "n",
        "scopes": ["read"],
        "created": "2026-11-21T10:00:00Z",
        "key": KEY,
        "request_id": "r",
    }
    server = mock_server(httpx.Response(201, json=minted))
    with caplog.at_level(logging.DEBUG), server.client(key=KEY) as client:
        made = client.create_key("n", ["read"])
        texts = [repr(client), str(vars(client)), repr(made), caplog.text]
    assert made.key == KEY
    assert not [text for text in texts if KEY in text]


def test_timeouts_are_the_clients_but_loading_a_model_may_take_minutes():
    body = {"request_id": "r", "model": "m", "previous": "p", "took_ms": 1.0}
    server = mock_server(body)
    with server.client(timeouts=Timeouts(connect=1.0, read=9.0)) as client:
        client.activate("m")
        client.roll_back()
    assert [request.extensions["timeout"]["read"] for request in server.requests] == [600.0, 600.0]
    server = mock_server(ANSWER)
    server.client(timeouts=Timeouts(connect=1.0, read=9.0)).search("tent")
    assert server.requests[0].extensions["timeout"] == {"connect": 1.0, "read": 9.0, "write": 9.0, "pool": 9.0}


def test_both_clients_have_the_same_methods_with_names_signatures_and_docstrings():
    def methods(kind):
        return {
            name: (member.__doc__, tuple(inspect.signature(member).parameters))
            for name, member in inspect.getmembers(kind, inspect.isfunction)
            if not name.startswith("_") and name != "close"
        }

    assert methods(Client) == methods(AsyncClient)
    assert len(methods(Client)) == 54
    assert not [name for name, (words, _) in methods(Client).items() if not words]
    assert [name for name, member in inspect.getmembers(Client, inspect.isfunction) if member.__name__ != name] == []


def test_documents_come_back_in_their_order():
    answer = {
        "id": "r",
        "results": [
            {"index": 1, "relevance_score": 0.5, "item_id": "A", "document": {"text": "Tent"}},
            {"index": 0, "relevance_score": 0.25, "item_id": None},
        ],
        "usage": {"prompt_tokens": 7, "total_tokens": 7},
        "unknown": [2],
        **{"corrected_query": None, "calibrated": True, "model": "v", "catalog_version": 0},
        **{"took_ms": 1.0, "degraded": False},
    }
    server = mock_server(answer)
    found = server.client().rerank("tent", ["a lamp", {"id": "A"}, 12], top_n=2, user=7)
    assert json.loads(server.requests[0].content) == {
        "query": "tent",
        "documents": ["a lamp", {"id": "A"}, 12],
        "top_n": 2,
        "user": 7,
    }
    assert [(one.index, one.item_id) for one in found.results] == [(1, "A"), (0, None)]
    assert found.results[0].document.text == "Tent"
    assert (found.unknown, found.usage.prompt_tokens, found.id) == ((2,), 7, "r")
