import asyncio
from urllib.parse import quote

import pytest

from server.engine.protocol import Ranking, RankRequest
from tests.server.http_shop import Shop
from tests.server.memory_history import MemoryHistory
from tests.server.problems import assert_problem
from tests.server.small_shop import NAMES, UNAVAILABLE, RecordingEngine

AVAILABLE = {name for row, name in enumerate(NAMES) if row not in UNAVAILABLE}


async def test_search_answers_with_k_distinct_items_and_all_their_fields(shop: Shop) -> None:
    response = await shop.get("/search", q="tent", k=7)
    assert response.status_code == 200
    body = response.json()
    assert set(body) == {"request_id", "items", "model", "catalog_version", "took_ms", "degraded"}
    assert body["model"] == "2025-11-20-a"
    assert body["degraded"] is False
    assert body["took_ms"] >= 0
    assert body["request_id"] == response.headers["x-request-id"]
    assert len({item["id"] for item in body["items"]}) == 7
    for item in body["items"]:
        assert list(item)[:3] == ["id", "title", "score"]
        assert item["season"] == "summer"
        assert item["price"] == NAMES.index(item["id"])
    scores = [item["score"] for item in body["items"]]
    assert scores == sorted(scores, reverse=True)


async def test_k_is_ten_unless_told(shop: Shop) -> None:
    assert len(await shop.ids("/search", q="tent")) == 10
    assert len(await shop.ids("/recommend", user="ada")) == 10


@pytest.mark.parametrize("path", ["/search?q=tent&k=200", "/recommend?user=ada&k=200"])
async def test_everything_is_shown_where_k_is_more_than_the_catalogue_has_available(shop: Shop, path: str) -> None:
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
    ids = await shop.ids("/recommend", user="ada", k=200)
    assert set(ids) == AVAILABLE - set(seen)
    assert list(engine.requests[0].excluded) == list(range(6, 30))


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
    assert await shop.ids("/recommend", user="ada") == []


async def test_items_that_left_the_catalogue_are_skipped(
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
    assert "item-9" not in await shop.ids("/recommend", user=user, k=200)
    assert "item-9" in await shop.ids("/recommend", user=user[1:] + "?", k=200)


@pytest.mark.parametrize("q", ["", "%20%20", "%09%0A", "%00%01", "%C2%A0", "%E2%80%8B", "%E2%80%AE"])
async def test_a_query_without_text_is_refused(shop: Shop, q: str) -> None:
    body = assert_problem(await shop.get(f"/search?q={q}"), 422, "invalid_request")
    assert body["errors"] == [
        {"field": "q", "code": "empty_query", "message": "has no text: type something to search for"}
    ]


async def test_a_missing_query_is_refused(shop: Shop) -> None:
    body = assert_problem(await shop.get("/search"), 422, "invalid_request")
    assert body["errors"] == [{"field": "q", "code": "missing", "message": "Field required"}]


async def test_a_missing_user_is_refused(shop: Shop) -> None:
    body = assert_problem(await shop.get("/recommend"), 422, "invalid_request")
    assert "user" in str(body["detail"])


@pytest.mark.parametrize("k", ["0", "-1", "201", "1e3", "ten", "", "99999999999999999999"])
@pytest.mark.parametrize("path", ["/search?q=tent", "/recommend?user=ada"])
async def test_k_out_of_range_is_refused(shop: Shop, path: str, k: str) -> None:
    body = assert_problem(await shop.get(f"{path}&k={k}"), 422, "invalid_request")
    assert str(body["detail"]).startswith("k: ")


@pytest.mark.parametrize("user", ["", "%20", "a%00b", "%FF", "%ED%A0%80", "x" * 257, "a%0Ab"])
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


async def test_a_silent_engine_is_a_504(shop: Shop, engine: RecordingEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    async def forever(request: RankRequest) -> Ranking:
        await asyncio.Event().wait()
        raise AssertionError

    monkeypatch.setattr(engine, "rank", forever)
    assert_problem(await shop.get("/search", q="tent"), 504, "answer_timeout")


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
    assert engine.requests[0].included == [3, 5, 7]
    assert await shop.ids("/search", q="tent", candidates="nobody knows me") == []
    assert await shop.ids("/search", q="tent", candidates=candidates, filter="price > 5") == [NAMES[7]]
