"""Ids that are whole numbers, and whole numbers that are written as floats, wherever a request has one."""

from typing import Any

import pytest

from tests.support.http_shop import Shop
from tests.support.memory_history import MemoryHistory
from tests.support.problems import assert_problem

NOW = 1_700_000_000_000
IDS = [
    (42, "42"),
    (42.0, "42"),
    (0, "0"),
    (-7, "-7"),
    (2**63 + 5, str(2**63 + 5)),
    (2**64 - 1, str(2**64 - 1)),
    ("007", "007"),
]
NO_IDS = [True, False, 1.5, 1e20, 2**64, [7], {"id": 7}]


async def put(shop: Shop, *ids: object) -> None:
    response = await shop.client.post("/items", json=[{"id": name, "title": f"Title {name}"} for name in ids])
    assert response.status_code == 200, response.text


@pytest.mark.parametrize(("sent", "stored"), IDS)
async def test_a_whole_number_is_an_id_everywhere(
    shop: Shop, history: MemoryHistory, sent: object, stored: str
) -> None:
    await put(shop, sent)
    event = {"user_id": sent, "item_id": sent, "type": "view", "event_id": sent, "request_id": sent}
    receipt = (await shop.post(event)).json()
    assert receipt["accepted"] == [{"index": 0, "event_id": stored, "duplicate": False, "known": True}]
    (recorded,) = history.events
    assert (recorded.user_id, recorded.item_id, recorded.request_id) == (stored, stored, stored)

    for body in (
        {"user": sent},
        {"session": sent},
        {"user_id": sent, "session_id": sent},
        {"history": [sent, {"item_id": sent}, {"item": sent}]},
    ):
        answer = await shop.client.post("/recommend", json=body)
        assert answer.status_code == 200, answer.text
        assert stored not in [item["id"] for item in answer.json()["items"]]
    for body in ({"q": "tent", "candidates": [sent]}, {"q": "tent", "filter": f'id = "{stored}"'}):
        answer = await shop.client.post("/search", json=body)
        assert [item["id"] for item in answer.json()["items"]] == [stored]
    lines = [{"kind": "similar", "item": sent}, {"kind": "search", "q": "x", "user": sent, "candidates": [sent]}]
    batch = await shop.client.post("/batch", json=lines)
    assert "problem" not in batch.text

    assert (await shop.client.put(f"/items/{stored}", json={"id": sent, "title": "New"})).json()["replaced"] == [stored]
    patched = await shop.client.patch(f"/items/{stored}", json={"item_id": sent, "title": "Newer"})
    assert patched.json()["replaced"] == [stored]
    assert (await shop.get(f"/items/{stored}")).json()["title"] == "Newer"
    merged = await shop.client.post("/users/ann/merge", json={"session": sent})
    assert (merged.json()["session"], merged.json()["moved"]) == (stored, 1)
    assert (await shop.client.delete(f"/users/{stored}")).status_code == 200
    assert (await shop.client.delete(f"/items/{stored}")).json()["deleted"] == [stored]


@pytest.mark.parametrize("sent", NO_IDS)
async def test_other_values_are_no_ids(shop: Shop, history: MemoryHistory, sent: object) -> None:
    bodies: list[tuple[str, str, Any]] = [
        ("POST", "/recommend", {"user": sent}),
        ("POST", "/search", {"q": "tent", "session": sent}),
        ("POST", "/search", {"q": "tent", "candidates": [sent]}),
        ("POST", "/recommend", {"history": [{"item_id": sent}]}),
        ("POST", "/recommend", {"history": [[sent]]}),
        ("POST", "/users/ann/merge", {"session": sent}),
        ("POST", "/events", {"user_id": sent, "item_id": "a", "type": "view"}),
        ("POST", "/events", {"user_id": "a", "item_id": sent, "type": "view"}),
        ("POST", "/items", [{"id": sent, "title": "x"}]),
        ("PUT", "/items/7", {"id": sent, "title": "x"}),
        ("PATCH", "/items/item-9", {"id": sent, "title": "x"}),
    ]
    for method, path, body in bodies:
        response = await shop.client.request(method, path, json=body)
        assert response.status_code == 422, (path, body, response.text)
    assert history.events == []


async def test_the_message_says_what_to_do_with_a_number_that_is_no_id(shop: Shop) -> None:
    for sent, advice in [(2**64, "put it in quotes"), (1.5, "whole number"), (True, "true or false")]:
        body = assert_problem(await shop.client.post("/recommend", json={"user": sent}), 422, "invalid_request")
        assert "user: is" in str(body["detail"])
        assert advice in str(body["detail"])


@pytest.mark.parametrize(
    ("expression", "found"),
    [
        ("id = 7", ["7"]),
        ("id = 7.0", ["7"]),
        ("item_id in (42, 7, '008')", ["7"]),
        ("id in (7, '007')", ["007", "7"]),
        ("id = '007'", ["007"]),
        ("id != 7 and id in (7, '007')", ["007"]),
        ("id = 43", []),
    ],
)
async def test_a_filter_knows_ids_that_are_numbers(shop: Shop, expression: str, found: list[str]) -> None:
    await put(shop, 7, "007")
    assert sorted(await shop.ids("/search", q="x", k=100, filter=expression)) == found


@pytest.mark.parametrize("number", [-3, 2**63 + 5, 2**70])
async def test_a_filter_knows_ids_that_are_large_or_negative(shop: Shop, number: int) -> None:
    await put(shop, str(number))
    assert await shop.ids("/search", q="x", filter=f"id = {number}") == [str(number)]


@pytest.mark.parametrize("expression", ["id > 42", "id = 4.5", "id = true", "title = 42", "id contains 4"])
async def test_a_filter_takes_numbers_for_ids_alone(shop: Shop, expression: str) -> None:
    assert_problem(await shop.get("/search", q="x", filter=expression), 422, "invalid_filter")


@pytest.mark.parametrize("timestamp", [float(NOW), NOW + 0.0, 1.7e12])
async def test_a_timestamp_may_be_a_float(shop: Shop, history: MemoryHistory, timestamp: float) -> None:
    event = {"user_id": "ann", "item_id": "item-9", "type": "view", "timestamp": timestamp}
    assert (await shop.post(event)).status_code == 202
    assert [row.timestamp for row in history.events] == [NOW]
    assert type(history.events[0].timestamp) is int


@pytest.mark.parametrize("timestamp", [NOW + 0.5, True, 1e300, 964982703.0, "1700000000000.5", -1.0, [NOW]])
async def test_a_timestamp_is_a_moment(shop: Shop, timestamp: object) -> None:
    event = {"user_id": "ann", "item_id": "item-9", "type": "view", "timestamp": timestamp}
    body = assert_problem(await shop.post(event), 422, "invalid_event")
    assert "timestamp: " in str(body["detail"])


async def test_whole_numbers_may_be_floats_in_bodies(shop: Shop) -> None:
    body = {"q": "tent", "k": 3.0, "timeout_ms": 1500.0, "min_score": -90}
    answer = await shop.client.post("/search", json=body)
    assert answer.status_code == 200, answer.text
    assert len(answer.json()["items"]) == 3
    assert len((await shop.client.post("/search", json={"q": "tent", "limit": 2e0})).json()["items"]) == 2
    (line,) = (await shop.client.post("/batch", json=[{"kind": "search", "q": "x", "k": 1.0}])).text.splitlines()
    assert '"answer"' in line


@pytest.mark.parametrize("k", ["3", "3.0", "3.", "3e0", "0.3e1", "+3", " 3 ", "03"])
async def test_whole_numbers_may_be_floats_in_urls(shop: Shop, k: str) -> None:
    assert len(await shop.ids("/search", q="tent", k=k, timeout_ms="2000.0")) == 3
    assert (await shop.get("/users/ann/history", limit=k)).status_code == 200


@pytest.mark.parametrize("k", ["3.5", "NaN", "Infinity", "-inf", "1e999", "ten", "3,0", "0x3", "3_0", "true", "1e-1"])
async def test_other_texts_are_no_whole_numbers(shop: Shop, k: str) -> None:
    for path in (f"/search?q=tent&k={k}", f"/users/ann/history?limit={k}", f"/items/item-9/similar?k={k}"):
        body = assert_problem(await shop.get(path), 422, "invalid_request")
        assert "is not a whole number: write it as in 10" in str(body["detail"])


@pytest.mark.parametrize("k", [3.5, True, False, 1e300, "3.5", [3], {}])
async def test_other_values_are_no_whole_numbers(shop: Shop, k: object) -> None:
    assert_problem(await shop.client.post("/search", json={"q": "tent", "k": k}), 422, "invalid_request")
    assert_problem(await shop.client.post("/search", json={"q": "tent", "timeout_ms": k}), 422, "invalid_request")


@pytest.mark.parametrize("score", ["NaN", "Infinity", "-Infinity", "nan", "true", "1e999"])
async def test_a_score_is_a_finite_number(shop: Shop, score: str) -> None:
    assert_problem(await shop.get("/search", q="tent", min_score=score), 422, "invalid_request")
    for body in (f'{{"q": "x", "min_score": {score}}}', f'{{"q": "x", "k": {score}}}'):
        response = await shop.client.post("/search", content=body, headers={"Content-Type": "application/json"})
        assert response.status_code in {400, 422}, response.text
        assert response.json()["code"] in {"malformed_json", "invalid_request"}


async def test_a_weight_may_be_a_float(shop: Shop) -> None:
    weights = {"2025-11-20-a": 90.0, "2025-11-21-a": 1e1}
    answer = await shop.client.put("/admin/traffic", json={"weights": weights})
    assert answer.status_code == 200, answer.text
    assert answer.json()["traffic"] == {"2025-11-20-a": 90, "2025-11-21-a": 10}
    for weight in (90.5, True, "many"):
        bad = await shop.client.put("/admin/traffic", json={"weights": weights | {"2025-11-20-a": weight}})
        assert_problem(bad, 422, "invalid_request")


@pytest.mark.parametrize(
    ("sent", "said"),
    [
        (2**64, "too large for a number of JSON to keep all digits"),
        (7.5, "has the id 7.5, which is not a whole number"),
        (True, "which is true or false"),
        ("", "which is empty"),
        (" ", "which is empty"),
        ("a\n", "which has control characters"),
        ("a\u0000", "which has control characters"),
        ("\u2028", "which is empty"),
        ("a\u0085b", "which has control characters"),
        ("x" * 257, "which is over 256 characters"),
        ("a\ufffd", "is not valid UTF-8"),
        ([7], "has the id [7]"),
    ],
)
async def test_no_item_gets_an_id_by_which_nothing_else_knows_it(shop: Shop, sent: object, said: str) -> None:
    """It could not be deleted, nor looked at, nor seen by anybody."""
    rows = [{"id": "item-9", "title": "New"}, {"id": sent, "title": "x"}]
    body = assert_problem(await shop.client.post("/items", json=rows), 422, "invalid_change")
    assert "change 2 has the id" in str(body["detail"])
    assert said in str(body["detail"])
    assert (await shop.get("/items/item-9")).json()["title"] != "New"


@pytest.mark.parametrize("sent", [1e30, 2.0**63, -1e300])
async def test_a_number_that_is_too_large_is_not_called_a_fraction(shop: Shop, sent: float) -> None:
    response = await shop.post({"user_id": "u", "item_id": "item-9", "type": "view", "timestamp": sent})
    assert "timestamp: is too large" in str(assert_problem(response, 422, "invalid_event")["detail"])
    response = await shop.client.post("/search", json={"q": "tent", "k": sent})
    assert "k: is too large" in str(assert_problem(response, 422, "invalid_request")["detail"])
