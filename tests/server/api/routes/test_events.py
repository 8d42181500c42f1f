import time
from collections.abc import AsyncIterator

import httpx
import pytest

from catalog.data.events import EventType
from server.api.schemas.events import MAX_EVENTS
from tests.support.http_shop import Shop
from tests.support.memory_history import MemoryHistory
from tests.support.problems import assert_problem

EVENT = {"user_id": "ada", "item_id": "item-9", "type": "click", "timestamp": 1_700_000_000_000, "event_id": "e1"}


def without(*names: str, **changes: object) -> dict[str, object]:
    return {name: value for name, value in EVENT.items() if name not in names} | changes


async def test_an_event_is_accepted_and_written(shop: Shop, history: MemoryHistory) -> None:
    response = await shop.post(EVENT | {"query": " two\tpersons ", "request_id": "r1"})
    assert response.status_code == 202
    body = response.json()
    assert body["accepted"] == [{"index": 0, "event_id": "e1", "duplicate": False, "known": True}]
    assert body["rejected"] == []
    assert body["request_id"] == response.headers["x-request-id"]
    (event,) = history.events
    assert (event.user_id, event.item_id, event.type, event.timestamp) == ("ada", "item-9", "click", 1_700_000_000_000)
    assert (event.query, event.request_id) == ("two persons", "r1")


async def test_what_is_left_out_is_filled_in(shop: Shop, history: MemoryHistory) -> None:
    before = time.time_ns() // 1_000_000
    response = await shop.post({"user_id": "ada", "item_id": "item-9", "type": "cart"})
    (event,) = history.events
    assert before <= event.timestamp <= time.time_ns() // 1_000_000
    assert event.type == "cart"
    assert event.query is None
    assert response.json()["accepted"][0]["event_id"] == event.event_id
    assert len(event.event_id) == 32


async def test_the_same_event_id_is_counted_once(shop: Shop, history: MemoryHistory) -> None:
    await shop.post(EVENT)
    again = await shop.post([EVENT, without("event_id")])
    assert [row["duplicate"] for row in again.json()["accepted"]] == [True, False]
    assert len(history.events) == 2


async def test_a_request_that_is_sent_again_under_its_key_doubles_nothing(shop: Shop, history: MemoryHistory) -> None:
    rows = [without("event_id"), without("event_id"), EVENT]

    async def send(key: str) -> list[tuple[str, bool]]:
        answer = await shop.post(rows, headers={"Idempotency-Key": key})
        return [(row["event_id"], row["duplicate"]) for row in answer.json()["accepted"]]

    first, again, other = await send("a"), await send("a"), await send("b")
    assert [duplicate for _, duplicate in first] == [False, False, False]
    assert again == [(event_id, True) for event_id, _ in first]
    assert [duplicate for _, duplicate in other] == [False, False, True]
    assert len({event.event_id for event in history.events}) == len(history.events) == 5


@pytest.mark.parametrize("key", ["", "x" * 256])
async def test_a_key_that_is_empty_or_too_long_is_refused(shop: Shop, history: MemoryHistory, key: str) -> None:
    answer = await shop.post(without("event_id"), headers={"Idempotency-Key": key})
    assert_problem(answer, 422, "invalid_request")
    assert answer.json()["errors"][0]["field"] == "Idempotency-Key"
    assert history.events == []


async def test_an_event_changes_what_is_recommended_next(shop: Shop) -> None:
    before = await shop.ids("/recommend", user="ada", k=28)
    await shop.post(without("item_id", item_id=before[0]) | {"type": "cart"})
    after = await shop.ids("/recommend", user="ada", k=28)
    assert before[0] not in after
    assert after != before[1:]


async def test_bad_rows_of_a_list_do_not_cost_the_good_ones(shop: Shop, history: MemoryHistory) -> None:
    rows = [
        EVENT,
        without(event_id="e2", item_id="no such item"),
        without("user_id"),
        "not an event",
        without(event_id="e3", type="stare"),
        without(event_id="e4", colour="red"),
        without(event_id="e5"),
    ]
    response = await shop.post(rows)
    assert response.status_code == 202
    body = response.json()
    assert [(row["index"], row["known"]) for row in body["accepted"]] == [(0, True), (1, False), (6, True)]
    assert [(row["index"], row["field"], row["code"]) for row in body["rejected"]] == [
        (2, "user_id", "missing"),
        (3, None, "not_an_object"),
        (4, "type", "enum"),
        (5, "colour", "extra_forbidden"),
    ]
    assert body["rejected"][0]["reason"] == "user_id: Field required"
    assert [event.event_id for event in history.events] == ["e1", "e2", "e5"]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (without("user_id"), "user_id"),
        (without("item_id"), "item_id"),
        (without(user_id=""), "user_id"),
        (without(user_id=" "), "user_id"),
        (without(user_id=True), "user_id"),
        (without(user_id=None), "user_id"),
        (without(user_id=["ada"]), "user_id"),
        (without(user_id="x" * 257), "user_id"),
        (without(user_id="a\nb"), "user_id"),
        (without(event_id=""), "event_id"),
        (without(event_id="x" * 257), "event_id"),
        (without("type"), "type"),
        (without(type=None), "type"),
        (without(type=""), "type"),
        (without(type="stare"), "type"),
        (without(timestamp="2025-11-20T12:00:00"), "timestamp"),
        (without(timestamp="2025-11-20"), "timestamp"),
        (without(timestamp="2999-11-20T12:00:00Z"), "timestamp"),
        (without(timestamp="1969-12-31T23:59:59Z"), "timestamp"),
        (without(timestamp="1975-01-01T00:00:00Z"), "timestamp"),
        (without(timestamp="0001-01-01T00:00:00+23:59"), "timestamp"),
        (without(timestamp=""), "timestamp"),
        (without(timestamp="yesterday"), "timestamp"),
        (without(timestamp="1700000000000"), "timestamp"),
        (without(timestamp=1.5e12 + 0.5), "timestamp"),
        (without(timestamp=True), "timestamp"),
        (without(timestamp=-1), "timestamp"),
        (without(timestamp=1_700_000_000), "timestamp"),
        (without(timestamp=9_999_999_999_999), "timestamp"),
        (without(timestamp=2**63), "timestamp"),
        (without(query=7), "query"),
        (without(query="x" * 1_001), "query"),
        (without(colour="red"), "colour"),
    ],
)
async def test_a_single_bad_event_is_refused(
    shop: Shop, history: MemoryHistory, body: dict[str, object], field: str
) -> None:
    problem = assert_problem(await shop.post(body), 422, "invalid_event")
    assert str(problem["detail"]).startswith(f"{field}: ")
    assert history.events == []


async def test_a_flood_of_unknown_fields_is_answered_shortly(shop: Shop) -> None:
    response = await shop.post(EVENT | {f"{number}{'x' * 1_000}": 1 for number in range(500)})
    assert_problem(response, 422, "invalid_event")
    assert len(response.content) < 5_000


async def test_seconds_are_told_from_milliseconds(shop: Shop) -> None:
    problem = assert_problem(await shop.post(without(timestamp=1_700_000_000)), 422, "invalid_event")
    assert "milliseconds" in str(problem["detail"])


@pytest.mark.parametrize("body", [without("type"), without(type=None), without(type="buy"), without(type=3)])
async def test_a_type_that_is_forgotten_or_unknown_is_refused_with_those_there_are(
    shop: Shop, history: MemoryHistory, body: dict[str, object]
) -> None:
    """Of one event and of one in a list: a forgotten type would turn purchases into views."""
    problem = assert_problem(await shop.post(body), 422, "invalid_event")
    receipt = (await shop.post([EVENT, body])).json()
    for (row,) in (problem["rejected"], receipt["rejected"]):  # type: ignore[misc]
        assert row["field"] == "type"
        assert row["reason"].startswith("type: ")
        assert all(kind in row["reason"] for kind in EventType)
    assert [event.event_id for event in history.events] == ["e1"]


@pytest.mark.parametrize(
    ("text", "timestamp"),
    [
        ("2023-11-14T22:13:20Z", 1_700_000_000_000),
        ("2023-11-14T23:13:20.250+01:00", 1_700_000_000_250),
        ("2023-11-14T22:13:20.999999Z", 1_700_000_000_999),
        ("20231114T221320Z", 1_700_000_000_000),
        ("2023-11-14T22:13:20z", 1_700_000_000_000),
        ("1980-01-01T00:00:00Z", 315_532_800_000),
    ],
)
async def test_a_timestamp_may_be_iso_8601(shop: Shop, history: MemoryHistory, text: str, timestamp: int) -> None:
    assert (await shop.post(without(timestamp=text))).status_code == 202
    assert history.events[0].timestamp == timestamp


async def test_a_time_without_a_zone_is_refused_with_what_to_do(shop: Shop) -> None:
    problem = assert_problem(await shop.post(without(timestamp="2023-11-14T22:13:20")), 422, "invalid_event")
    assert "has no zone: end it with Z, or with an offset such as +01:00" in str(problem["detail"])


async def test_events_of_an_item_that_is_not_known_yet_count_once_it_comes(shop: Shop) -> None:
    before = await shop.ids("/recommend", user="ada", k=200)
    receipt = (await shop.post(without(item_id="item-new", type="purchase"))).json()
    assert receipt["accepted"] == [{"index": 0, "event_id": "e1", "duplicate": False, "known": False}]
    assert receipt["rejected"] == []
    past = (await shop.get("/users/ada/history")).json()
    assert [(event["item_id"], event["title"]) for event in past["events"]] == [("item-new", None)]
    assert await shop.ids("/recommend", user="ada", k=200) == before
    assert (await shop.client.put("/items/item-new", json={"title": "A new lamp"})).status_code == 200
    after = await shop.ids("/recommend", user="ada", k=200)
    assert after != before
    assert "item-new" in await shop.ids("/recommend", user="bob", k=200)
    assert "item-new" not in after, "what somebody has is not recommended"
    assert (await shop.post(without(item_id="item-new"))).json()["accepted"][0]["known"] is True


async def test_a_deleted_item_is_not_known(shop: Shop) -> None:
    assert (await shop.client.put("/items/item-new", json={"title": "A new lamp"})).status_code == 200
    assert (await shop.post(without(item_id="item-new"))).json()["accepted"][0]["known"] is True
    assert (await shop.client.delete("/items/item-new")).status_code == 200
    assert (await shop.get("/items/item-new")).status_code == 404
    assert (await shop.post(without(item_id="item-new", event_id="e2"))).json()["accepted"][0]["known"] is False


async def test_events_of_unknown_items_leave_the_rest_of_a_history_as_it_is(shop: Shop) -> None:
    """A history with them asks the model what it would without them, also where they stand between repetitions."""
    start = 1_700_000_000_000
    for user, items in (("ada", ["item-9", "ghost", "item-9", "spirit", "item-10"]), ("bob", ["item-9", "item-10"])):
        rows = [
            {"user_id": user, "item_id": item, "type": "view", "timestamp": start + n} for n, item in enumerate(items)
        ]
        assert (await shop.post(rows)).status_code == 202
    answers = [(await shop.get("/recommend", user=user, k=20)).json()["items"] for user in ("ada", "bob")]
    assert [(item["id"], item["score"]) for item in answers[0]] == [(item["id"], item["score"]) for item in answers[1]]


async def test_a_list_without_a_good_row_is_refused_with_every_reason(shop: Shop) -> None:
    problem = assert_problem(await shop.post([without("user_id"), 7]), 422, "invalid_event")
    assert isinstance(problem["rejected"], list)
    assert [row["index"] for row in problem["rejected"]] == [0, 1]


@pytest.mark.parametrize("query", ["", "  ", None])
async def test_a_blank_query_is_no_query(shop: Shop, history: MemoryHistory, query: str | None) -> None:
    assert (await shop.post(EVENT | {"query": query})).status_code == 202
    assert history.events[0].query is None


async def test_ids_may_be_whole_numbers(shop: Shop, history: MemoryHistory) -> None:
    assert (await shop.post(without(user_id=7, event_id=8))).status_code == 202
    assert (history.events[0].user_id, history.events[0].event_id) == ("7", "8")


async def test_an_empty_list_is_refused(shop: Shop) -> None:
    assert_problem(await shop.post([]), 422, "invalid_event")


async def test_a_list_may_be_long_but_not_too_long(shop: Shop, history: MemoryHistory) -> None:
    rows = [without("event_id") for _ in range(MAX_EVENTS + 1)]
    assert_problem(await shop.post(rows), 413, "too_many_events")
    assert history.events == []
    assert len((await shop.post(rows[1:])).json()["accepted"]) == MAX_EVENTS


@pytest.mark.parametrize("content", [b"null", b"1", b'"text"', b"true"])
async def test_json_that_is_no_event_is_refused(shop: Shop, content: bytes) -> None:
    assert_problem(await post_bytes(shop, content), 422, "invalid_event")


@pytest.mark.parametrize(
    "content", [b"", b"{", b"{'user_id': 1}", b"\xff\xfe", b'{"user_id": "\\ud800"}', b"[" * 100_000, b"NaN"]
)
async def test_malformed_json_is_refused(shop: Shop, content: bytes) -> None:
    assert_problem(await post_bytes(shop, content), 400, "malformed_json")


async def test_another_content_type_is_refused(shop: Shop) -> None:
    response = await shop.client.post("/events", content=b"{}", headers={"Content-Type": "text/html"})
    assert_problem(response, 415, "unsupported_media_type")


@pytest.mark.parametrize(
    ("encoding", "status", "code"), [("br", 415, "unsupported_media_type"), ("gzip", 400, "malformed_encoding")]
)
async def test_a_compressed_body_that_cannot_be_read_is_refused(
    shop: Shop, encoding: str, status: int, code: str
) -> None:
    headers = {"Content-Type": "application/json", "Content-Encoding": encoding}
    assert_problem(await shop.client.post("/events", content=b"\x1f\x8b", headers=headers), status, code)


async def test_a_large_body_is_refused_whether_or_not_it_tells_its_length(shop: Shop) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(40):
            yield b" " * 65_536

    assert_problem(await post_bytes(shop, b" " * (1 << 20) + b"{}"), 413, "body_too_large")
    headers = {"Content-Type": "application/json"}
    response = await shop.client.post("/events", content=chunks(), headers=headers)
    assert_problem(response, 413, "body_too_large")


async def test_without_redis_nothing_is_acknowledged(shop: Shop, history: MemoryHistory) -> None:
    history.away = True
    response = await shop.post(EVENT)
    assert_problem(response, 503, "history_unavailable")
    assert response.headers["retry-after"] == "1"


async def post_bytes(shop: Shop, content: bytes) -> httpx.Response:
    return await shop.client.post("/events", content=content, headers={"Content-Type": "application/json"})
