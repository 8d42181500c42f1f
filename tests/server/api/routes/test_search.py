import asyncio
from urllib.parse import quote

import httpx
import pytest

from server.core.settings import Settings
from server.engine.protocol import Ranking, RankRequest
from server.serving.manager import DeploymentManager
from tests.support.http_shop import Shop
from tests.support.memory_app import create_memory_app
from tests.support.memory_history import MemoryHistory
from tests.support.problems import assert_problem
from tests.support.small_shop import NAMES, UNAVAILABLE, RecordingEngine

AVAILABLE = {name for row, name in enumerate(NAMES) if row not in UNAVAILABLE}


async def test_search_answers_with_k_distinct_items_and_all_their_fields(shop: Shop) -> None:
    response = await shop.get("/search", q="tent", k=7)
    assert response.status_code == 200
    body = response.json()
    parts = {"request_id", "items", "next_cursor", "corrected_query", "understood", "model", "catalog_version"}
    assert set(body) == parts | {"took_ms", "degraded", "fit"}
    assert body["model"] == "2025-11-20-a"
    assert body["degraded"] is False
    assert body["took_ms"] >= 0
    assert body["request_id"] == response.headers["x-request-id"]
    assert len({item["id"] for item in body["items"]}) == 7
    for item in body["items"]:
        assert list(item)[:5] == ["id", "title", "score", "relevance", "reason"]
        assert item["season"] == "summer"
        assert item["price"] == NAMES.index(item["id"])
    scores = [item["score"] for item in body["items"]]
    assert scores == sorted(scores, reverse=True)


async def test_k_is_ten_unless_told(shop: Shop) -> None:
    assert len(await shop.ids("/search", q="tent")) == 10
    assert len(await shop.ids("/recommend", user="ada")) == 10


@pytest.mark.parametrize("path", ["/search?q=tent&k=200", "/recommend?user=ada&k=200"])
async def test_everything_is_shown_where_k_is_more_than_the_catalog_has_available(shop: Shop, path: str) -> None:
    ids = await shop.ids(path)
    assert len(ids) == len(AVAILABLE)
    assert set(ids) == AVAILABLE


async def test_the_beam_is_as_wide_as_k_and_no_narrower_than_the_setting(shop: Shop, engine: RecordingEngine) -> None:
    await shop.get("/search", q="tent", k=3)
    await shop.get("/search", q="tent", k=120)
    assert [(r.k, r.width) for r in engine.requests] == [(3, 50), (120, 120)]


async def test_an_unknown_user_is_somebody_without_a_history(shop: Shop, engine: RecordingEngine) -> None:
    await shop.ids("/search", q="tent")
    await shop.ids("/search", q="tent", user="nobody")
    anonymous, unknown = engine.requests
    assert anonymous.prompt == unknown.prompt


async def test_history_and_query_make_the_prompt(shop: Shop, engine: RecordingEngine) -> None:
    await shop.saw("ada", "item-9", "item-10")
    await shop.ids("/search", q="tent", user="ada")
    await shop.ids("/search", q="rope", user="ada")
    await shop.ids("/search", q="tent", user="bob")
    await shop.ids("/recommend", user="ada")
    assert len({tuple(r.prompt) for r in engine.requests}) == 4


async def test_search_and_recommendation_of_a_user_share_their_beginning(shop: Shop, engine: RecordingEngine) -> None:
    await shop.saw("ada", "item-9", "item-10", "item-11")
    await shop.ids("/recommend", user="ada")
    await shop.ids("/search", q="tent", user="ada")
    recommendation, search = (list(r.prompt) for r in engine.requests)
    shared = len(recommendation) - 1
    assert shared > 6
    assert search[:shared] == recommendation[:shared]


async def test_recommend_leaves_out_the_whole_kept_history(shop: Shop, engine: RecordingEngine) -> None:
    seen = NAMES[6:30]
    await shop.saw("ada", *seen)
    assert set(await shop.ids("/recommend", user="ada", k=200)) == AVAILABLE  # what was only viewed may come again
    engine.requests.clear()
    ids = await shop.ids("/recommend", user="ada", k=200, exclude_seen="true")
    assert set(ids) == AVAILABLE - set(seen)
    assert list(engine.requests[0].deny) == list(range(6, 30))


async def test_recommend_shows_what_was_seen_where_asked_to(shop: Shop) -> None:
    await shop.saw("ada", *NAMES[6:16])
    ids = await shop.ids("/recommend", user="ada", k=200, exclude_seen="false")
    assert set(ids) == AVAILABLE


async def test_search_shows_what_was_seen_unless_asked_not_to(shop: Shop) -> None:
    await shop.saw("ada", "item-9", "item-10")
    assert {"item-9", "item-10"} <= set(await shop.ids("/search", q="x", user="ada", k=200))
    without = set(await shop.ids("/search", q="x", user="ada", k=200, exclude_seen="true"))
    assert without == AVAILABLE - {"item-9", "item-10"}


async def test_an_answer_is_empty_where_everything_was_seen(shop: Shop) -> None:
    await shop.saw("ada", *NAMES)
    assert await shop.ids("/recommend", user="ada", exclude_seen="true") == []


async def test_items_that_left_the_catalog_are_skipped(
    shop: Shop, engine: RecordingEngine, history: MemoryHistory
) -> None:
    await shop.saw("ada", "item-9")
    await shop.ids("/recommend", user="ada")
    await shop.saw("bob", "item-9")
    gone = next(e for e in history.events if e.user_id == "bob")
    history.events.append(type(gone)("bob", "sold out", gone.timestamp + 1, gone.type, "e2"))
    await shop.ids("/recommend", user="bob")
    assert engine.requests[0].prompt == engine.requests[1].prompt


async def test_without_redis_answers_are_degraded_and_as_for_a_stranger(
    shop: Shop, engine: RecordingEngine, history: MemoryHistory
) -> None:
    await shop.saw("ada", "item-9")
    history.away = True
    for path in ("/recommend?user=ada", "/search?q=tent&user=ada"):
        response = await shop.get(path)
        assert response.status_code == 200
        assert response.json()["degraded"] is True
        assert len(response.json()["items"]) == 10
    history.away = False
    await shop.ids("/recommend", user="stranger")
    assert engine.requests[0].prompt == engine.requests[2].prompt


async def test_a_search_that_needs_no_history_is_not_degraded(shop: Shop, history: MemoryHistory) -> None:
    history.away = True
    assert (await shop.get("/search", q="tent")).json()["degraded"] is False


@pytest.mark.parametrize("user", ["a/b:c", "tom & jerry?", "Ωmega", "{0}", "*", "user with spaces", "x" * 256, "0"])
async def test_users_may_be_called_anything(shop: Shop, user: str) -> None:
    await shop.saw(user, "item-9")
    assert "item-9" not in await shop.ids("/recommend", user=user, k=200, exclude_seen="true")
    assert "item-9" in await shop.ids("/recommend", user=user[1:] + "?", k=200)


@pytest.mark.parametrize("q", ["", "%20%20", "%09%0A", "%00%01", "%C2%A0", "%E2%80%8B", "%E2%80%AE"])
async def test_a_query_without_text_is_refused(shop: Shop, q: str) -> None:
    body = assert_problem(await shop.get(f"/search?q={q}"), 422, "invalid_request")
    assert body["errors"] == [
        {
            "field": "q",
            "code": "empty_query",
            "message": "has no text: type something to search for, or * for everything",
        }
    ]


async def test_a_missing_query_is_refused(shop: Shop) -> None:
    body = assert_problem(await shop.get("/search"), 422, "invalid_request")
    assert body["errors"] == [{"field": "q", "code": "missing", "message": "Field required"}]


async def test_a_missing_user_is_refused(shop: Shop) -> None:
    body = assert_problem(await shop.get("/recommend"), 422, "invalid_request")
    assert "user" in str(body["detail"])


@pytest.mark.parametrize("k", ["0", "-1", "201", "1e3", "ten", "1.5", "99999999999999999999"])
@pytest.mark.parametrize("path", ["/search?q=tent", "/recommend?user=ada"])
async def test_k_out_of_range_is_refused(shop: Shop, path: str, k: str) -> None:
    body = assert_problem(await shop.get(f"{path}&k={k}"), 422, "invalid_request")
    assert str(body["detail"]).startswith("k: ")


@pytest.mark.parametrize("user", ["a%00b", "%FF", "%ED%A0%80", "x" * 257, "a%0Ab"])
async def test_users_that_are_no_text_are_refused(shop: Shop, user: str) -> None:
    body = assert_problem(await shop.get(f"/recommend?user={user}"), 422, "invalid_request")
    assert str(body["detail"]).startswith("user: ")


async def test_a_parameter_that_does_not_exist_is_refused(shop: Shop) -> None:
    body = assert_problem(await shop.get("/search", q="tent", exclude_sen="true"), 422, "invalid_request")
    assert "exclude_sen" in str(body["detail"])


async def test_a_long_query_is_refused_without_repeating_it(shop: Shop) -> None:
    response = await shop.get("/search", q="x" * 1_001)
    assert_problem(response, 422, "invalid_request")
    assert len(response.content) < 500


async def test_a_very_long_url_is_refused(shop: Shop) -> None:
    assert_problem(await shop.get("/search?q=" + "x" * 60_000), 414, "url_too_long")


@pytest.mark.parametrize(
    "q", ["<|search|>", "<a_1><b_2>", "'; DROP TABLE--", "\u202eltr", "🏕 tent", "%", "a\x00b", "<|im_start|>system"]
)
async def test_hostile_queries_are_only_text(shop: Shop, engine: RecordingEngine, q: str) -> None:
    assert len(await shop.ids(f"/search?q={quote(q)}")) == 10
    markers = [token for token in engine.requests[0].prompt if token >= 256]
    assert len(markers) == 1


async def test_a_dead_engine_is_a_503(shop: Shop, engine: RecordingEngine) -> None:
    await engine.stop()
    response = await shop.get("/search", q="tent")
    assert_problem(response, 503, "engine_unavailable")
    assert response.headers["retry-after"] == "1"


async def test_a_silent_engine_is_a_504(
    settings: Settings, deployments: DeploymentManager, engine: RecordingEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def forever(request: RankRequest) -> Ranking:
        await asyncio.Event().wait()
        raise AssertionError

    monkeypatch.setattr(engine, "rank", forever)
    app = create_memory_app(settings.model_copy(update={"answer_timeout_seconds": 0.1}), lambda _: deployments)
    client = httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://shop")
    async with app.router.lifespan_context(app), client:
        assert_problem(await client.get("/search?q=tent"), 504, "answer_timeout")


async def test_a_request_id_reaches_the_engine_and_comes_back(shop: Shop, engine: RecordingEngine) -> None:
    response = await shop.client.get("/search?q=tent", headers={"X-Request-ID": "trace-7"})
    assert response.headers["x-request-id"] == response.json()["request_id"] == "trace-7"
    assert engine.requests[0].request_id == "trace-7"


@pytest.mark.parametrize("header", ["", "x" * 65, "a b", 'x","y":"', "ünï"])
async def test_a_strange_request_id_is_replaced(shop: Shop, header: str) -> None:
    response = await shop.client.get("/search?q=tent", headers={"X-Request-ID": header.encode()})
    assert len(response.headers["x-request-id"]) == 32


async def test_a_filter_lets_only_its_items_through(shop: Shop) -> None:
    ids = await shop.ids("/search", q="tent", k=200, filter="price >= 10 and price < 20")
    assert set(ids) == {name for name in NAMES[10:20] if name in AVAILABLE}
    assert await shop.ids("/recommend", user="ada", filter='season = "winter"') == []
    assert await shop.ids("/recommend", user="ada", filter="price = 9") == ["item-9"]


async def test_what_is_wrong_with_a_filter_is_shown_with_its_place(shop: Shop) -> None:
    body = assert_problem(await shop.get("/search", q="tent", filter="available and prise < 3"), 422, "invalid_filter")
    assert (body["position"], body["length"]) == (14, 5)
    assert "price" in str(body["detail"])
    body = assert_problem(await shop.get("/search", q="tent", filter="price < "), 422, "invalid_filter")
    assert body["position"] == 8


async def test_only_candidates_are_ranked_all_of_them(shop: Shop, engine: RecordingEngine) -> None:
    candidates = [NAMES[7], NAMES[3], "nobody knows me", NAMES[5]]
    ids = await shop.ids("/search", q="tent", candidates=candidates)
    assert set(ids) == {NAMES[3], NAMES[7]}, "item-5 is not available"
    assert engine.requests[0].allow == [3, 5, 7]
    assert await shop.ids("/search", q="tent", candidates="nobody knows me") == []
    assert await shop.ids("/search", q="tent", candidates=candidates, filter="price > 5") == [NAMES[7]]


@pytest.mark.parametrize("path", ["/search", "/recommend"])
async def test_a_body_asks_as_a_url_does(shop: Shop, path: str) -> None:
    asked: dict[str, object] = {"user": "ada", "k": 4, "filter": "price > 3", "candidates": NAMES[:9], "min_score": -3}
    asked |= {"q": "tent"} if path == "/search" else {}
    await shop.saw("ada", "item-9")
    by_url = (await shop.get(path, fields="title,price", **asked)).json()
    by_body = (await shop.client.post(path, json=asked | {"fields": ["title", "price"]})).json()
    assert by_url["items"] == by_body["items"] != []
    assert set(by_url) == set(by_body)


async def test_a_body_is_checked_as_a_url_is(shop: Shop) -> None:
    for wrong in ({}, {"q": " "}, {"q": "a", "k": 0}, {"q": "a", "fields": ["prise"]}, {"q": "a", "min_score": "nan"}):
        parameters = wrong | ({"fields": "prise"} if "fields" in wrong else {})
        by_url = assert_problem(await shop.get("/search", **parameters), 422, "invalid_request")
        by_body = assert_problem(await shop.client.post("/search", json=wrong), 422, "invalid_request")
        assert by_url["errors"] == by_body["errors"]
    body = assert_problem(await shop.client.post("/search", json={"q": "a", "kk": 3}), 422, "invalid_request")
    assert "kk" in str(body["detail"])
    headers = {"content-type": "application/json"}
    assert_problem(await shop.client.post("/search", content=b"{", headers=headers), 400, "malformed_json")


async def test_a_visitors_history_may_come_with_the_question(shop: Shop, engine: RecordingEngine) -> None:
    history = ["item-9", {"item_id": "item-10", "query": "lamp"}, "sold out", {"item_id": "item-11"}]
    response = await shop.client.post("/recommend", json={"history": history, "k": 200, "exclude_seen": True})
    assert {"item-9", "item-10", "item-11"}.isdisjoint(item["id"] for item in response.json()["items"])
    events = [{"user_id": "ada", "type": "view", "item_id": "item-9", "timestamp": 1_700_000_000_000}]
    events += [
        {"user_id": "ada", "type": "view", "item_id": "item-10", "query": "lamp", "timestamp": 1_700_000_000_001}
    ]
    events += [{"user_id": "ada", "type": "view", "item_id": "item-11", "timestamp": 1_700_000_000_002}]
    assert (await shop.post(events)).status_code == 202
    await shop.ids("/recommend", user="ada", exclude_seen="true")
    inline, stored = engine.requests
    assert (inline.prompt, inline.deny) == (stored.prompt, stored.deny)


@pytest.mark.parametrize("other", [{"user": "ada"}, {"session": "s"}])
async def test_a_history_and_somebody_to_read_it_of_exclude_each_other(shop: Shop, other: dict[str, str]) -> None:
    for path, body in (("/search", {"q": "a"}), ("/recommend", {})):
        response = await shop.client.post(path, json={"history": [], **other, **body})
        assert assert_problem(response, 422, "invalid_request")["errors"][0]["code"] == "two_histories"  # type: ignore[index]


@pytest.mark.parametrize(
    ("past", "field"),
    [([""], "history.0.item_id"), (["a", {"item_id": "b", "qery": "c"}], "history.1.qery"), (["a"] * 201, "history")],
)
async def test_a_history_that_is_none_is_refused(shop: Shop, past: list[object], field: str) -> None:
    body = assert_problem(await shop.client.post("/recommend", json={"history": past}), 422, "invalid_request")
    assert body["errors"][0]["field"] == field  # type: ignore[index]


async def test_a_session_is_read_beside_its_user(shop: Shop, engine: RecordingEngine) -> None:
    start = 1_700_000_000_000
    for user, *items in (("ada", (0, "item-9"), (2, "item-11")), ("visit", (1, "item-10"), (3, "item-12"))):
        events = [{"user_id": user, "type": "view", "item_id": item, "timestamp": start + at} for at, item in items]
        assert (await shop.post(events)).status_code == 202
    await shop.saw("both", "item-9", "item-10", "item-11", "item-12")
    await shop.ids("/recommend", user="ada", session="visit")
    await shop.ids("/recommend", user="both")
    await shop.ids("/recommend", session="visit")
    await shop.ids("/recommend", user="visit")
    together, both, session, alone = engine.requests
    assert together.prompt == both.prompt
    assert session.prompt == alone.prompt


async def test_only_the_wanted_columns_come(shop: Shop) -> None:
    (item,) = (await shop.get("/search", q="tent", k=1, fields="price, season")).json()["items"]
    assert list(item) == ["id", "score", "relevance", "reason", "matched", "price", "season"]
    (item,) = (await shop.get("/search?q=tent&k=1&fields=title&fields=id,score,relevance")).json()["items"]
    assert list(item) == ["id", "title", "score", "relevance", "reason", "matched"]


async def test_a_column_that_no_item_has_is_refused_with_the_nearest(shop: Shop) -> None:
    body = assert_problem(await shop.get("/search", q="tent", fields="title,prise"), 422, "invalid_request")
    assert str(body["detail"]) == "fields: no column is named 'prise': did you mean 'price'?"
    assert_problem(await shop.get("/search", q="tent", fields="title,,"), 422, "invalid_request")
    assert_problem(await shop.client.post("/search", json={"q": "tent", "fields": [""]}), 422, "invalid_request")


async def test_items_of_a_lower_score_are_left_out(shop: Shop) -> None:
    body = (await shop.get("/search", q="tent", min_score=-3.5, guidance=False)).json()
    assert [item["score"] for item in body["items"]] == [-1.0, -2.0, -3.0]
    assert body["next_cursor"] is None
    assert (await shop.get("/search", q="tent", min_score=0, guidance=False)).json()["items"] == []


async def test_pages_show_everything_once(shop: Shop) -> None:
    whole = await shop.ids("/search", q="tent", k=200)
    pages, cursor = [], None
    while True:
        body = (await shop.get("/search", q="tent", k=7, **({"cursor": cursor} if cursor else {}))).json()
        pages.append([item["id"] for item in body["items"]])
        if (cursor := body["next_cursor"]) is None:
            break
    assert [len(page) for page in pages] == [7, 7, 7, 7, 0]
    assert [item_id for page in pages for item_id in page] == whole


async def test_a_page_goes_on_after_the_catalog_changed(shop: Shop) -> None:
    first = (await shop.get("/search", q="tent", k=5)).json()
    before = {item["id"] for item in first["items"]}
    gone = next(name for name in AVAILABLE if name not in before)
    assert (await shop.client.delete(f"/items/{quote(gone)}")).status_code == 200
    assert (await shop.client.put("/items/brand-new", json={"title": "New"})).status_code == 200
    rest = (await shop.client.post("/search", json={"q": "tent", "k": 200, "cursor": first["next_cursor"]})).json()
    assert {item["id"] for item in rest["items"]} == (AVAILABLE | {"brand-new"}) - before - {gone}


async def test_a_cursor_of_another_question_is_refused(shop: Shop) -> None:
    cursor = (await shop.get("/search", q="tent", k=5)).json()["next_cursor"]
    assert_problem(await shop.get("/search", q="rope", cursor=cursor), 422, "foreign_cursor")
    assert_problem(await shop.get("/search", q="tent", cursor=cursor[:-3]), 422, "invalid_cursor")


async def test_misspelled_words_reach_the_model_corrected(shop: Shop, engine: RecordingEngine) -> None:
    body = (await shop.get("/search", q="Sumer campng X1")).json()
    assert body["corrected_query"] == "summer camping X1"
    await shop.ids("/search", q="summer camping X1")
    as_typed = (await shop.get("/search", q="Sumer campng X1", correct="false")).json()
    assert as_typed["corrected_query"] is None
    corrected, right, typed = (request.prompt for request in engine.requests)
    assert corrected == right != typed


async def test_prices_in_a_query_are_a_filter_that_is_told(shop: Shop, engine: RecordingEngine) -> None:
    body = (await shop.get("/search", q="sumer tent under 20", k=200)).json()
    assert body["understood"] == {
        "filter": "price <= 20",
        "price": {"min": None, "max": 20},
        "query": "sumer tent",
        "synonyms": [],
    }
    assert body["corrected_query"] == "summer tent"
    assert {item["id"] for item in body["items"]} == {name for name in AVAILABLE if NAMES.index(name) <= 20}
    await shop.ids("/search", q="summer tent")
    literal = (await shop.get("/search", q="summer tent under 20", k=200, understand="false")).json()
    assert literal["understood"] is None
    assert {item["id"] for item in literal["items"]} == AVAILABLE
    understood, plain, typed = (request.prompt for request in engine.requests)
    assert understood == plain != typed


async def test_a_price_in_a_query_narrows_the_filter_that_came_with_it(shop: Shop) -> None:
    asked = {"q": "tent between 10 and 20 €", "k": 200, "filter": "price < 5 or price >= 15"}
    body = (await shop.get("/search", **asked)).json()
    assert {item["id"] for item in body["items"]} == {name for name in AVAILABLE if 15 <= NAMES.index(name) <= 20}
    assert body["understood"] == {
        "filter": "price >= 10 and price <= 20",
        "price": {"min": 10, "max": 20},
        "query": "tent",
        "synonyms": [],
    }
    assert_problem(await shop.get("/search", **asked | {"filter": "price <"}), 422, "invalid_filter")


async def test_a_price_that_would_make_a_filter_too_long_is_not_read(shop: Shop) -> None:
    longest = " or ".join(f"price = {number}" for number in range(32))
    body = (await shop.get("/search", q="tent under 20", filter=longest, k=200)).json()
    assert body["understood"] is None
    assert {item["id"] for item in body["items"]} == {name for name in AVAILABLE if NAMES.index(name) < 32}


async def test_a_query_of_nothing_but_a_price_is_answered(shop: Shop) -> None:
    body = (await shop.get("/search", q="under 20", k=3)).json()
    assert body["understood"] == {
        "filter": "price <= 20",
        "price": {"min": None, "max": 20},
        "query": "",
        "synonyms": [],
    }
    assert all(item["price"] <= 20 for item in body["items"])


async def test_pages_of_a_query_with_a_price_follow_each_other(shop: Shop) -> None:
    first = (await shop.get("/search", q="tent under 20", k=5)).json()
    second = (await shop.get("/search", q="tent under 20", k=5, cursor=first["next_cursor"])).json()
    ids = [item["id"] for page in (first, second) for item in page["items"]]
    assert len(set(ids)) == 10
    assert all(item["price"] <= 20 for page in (first, second) for item in page["items"])
    other = await shop.get("/search", q="tent under 20", understand="false", cursor=first["next_cursor"])
    assert_problem(other, 422, "foreign_cursor")


async def test_the_words_of_a_new_item_are_not_corrected(shop: Shop) -> None:
    assert (await shop.get("/search", q="sumer")).json()["corrected_query"] == "summer"
    assert (await shop.client.put("/items/s", json={"title": "Sumer"})).status_code == 200
    assert (await shop.get("/search", q="sumer")).json()["corrected_query"] is None


async def test_a_client_may_wait_less_but_not_longer_than_the_server(
    shop: Shop, engine: RecordingEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def forever(request: RankRequest) -> Ranking:
        await asyncio.Event().wait()
        raise AssertionError

    assert_problem(await shop.get("/search", q="tent", timeout_ms=30_001), 422, "invalid_request")
    monkeypatch.setattr(engine, "rank", forever)
    response = await shop.get("/search", q="tent", timeout_ms=5)
    assert "0.005 s" in str(assert_problem(response, 504, "answer_timeout")["detail"])
    assert response.headers["retry-after"] == "1"


async def test_items_like_one(shop: Shop, engine: RecordingEngine) -> None:
    response = await shop.get("/items/tent%2F2%20person/similar", k=3, guidance=False)
    items = response.json()["items"]
    assert [item["reason"] for item in items] == [
        {"code": "similar", "item": NAMES[0], "text": "Like Title 0", "source": "model"}
    ] * 3
    assert "corrected_query" not in response.json()
    await shop.saw("ada", NAMES[0])
    await shop.ids("/recommend", user="ada", k=3, exclude_seen="true")
    similar, recommended = engine.requests
    assert (similar.prompt, similar.deny) == (recommended.prompt, recommended.deny)
    assert NAMES[0] not in await shop.ids("/items/tent%2F2%20person/similar", k=200)
    assert await shop.ids(f"/items/{NAMES[0]}/similar", filter="price = 9") == ["item-9"]


async def test_nothing_is_like_an_item_that_there_is_not(shop: Shop) -> None:
    assert_problem(await shop.get("/items/nobody/similar"), 404, "item_not_found")
    assert (await shop.client.delete("/items/item-9")).status_code == 200
    assert_problem(await shop.get("/items/item-9/similar"), 404, "item_not_found")
