"""Forms send every field, those that were left empty too: an empty parameter of a URL is as if it were not there."""

import pytest

from tests.support.http_shop import Shop
from tests.support.problems import assert_problem

STABLE = dict.fromkeys(("request_id", "took_ms", "next_cursor"))


@pytest.mark.parametrize(
    ("empty", "without"),
    [
        ("/search?q=tent&user=&filter=", "/search?q=tent"),
        ("/search?q=tent&k=&limit=&cursor=&fields=&candidates=&min_score=&timeout_ms=", "/search?q=tent"),
        ("/search?q=tent&explain=&guidance=&correct=&understand=&exclude_seen=", "/search?q=tent"),
        ("/search?q=tent&user=%20&filter=%20%09", "/search?q=tent"),
        ("/search?q=tent&user=&user_id=ann&k=3", "/search?q=tent&user=ann&k=3"),
        ("/search?q=tent&candidates=&candidates=item-9", "/search?q=tent&candidates=item-9"),
        ("/recommend?user=ann&session=&exclude_seen=", "/recommend?user=ann"),
        ("/items/item-9/similar?k=&filter=&fields=", "/items/item-9/similar"),
        ("/users/ann/history?limit=", "/users/ann/history"),
    ],
)
async def test_an_empty_field_is_absent(shop: Shop, empty: str, without: str) -> None:
    first, second = await shop.get(empty), await shop.get(without)
    assert first.status_code == second.status_code == 200, first.text
    assert first.json() | STABLE == second.json() | STABLE


async def test_a_batch_with_an_empty_parameter_is_answered(shop: Shop) -> None:
    response = await shop.client.post("/batch?ordered=", json=[{"kind": "search", "q": "x"}])
    assert response.status_code == 200


@pytest.mark.parametrize("q", ["", "%20", "%09%20"])
async def test_an_empty_query_is_a_query_without_a_text(shop: Shop, q: str) -> None:
    body = assert_problem(await shop.get(f"/search?q={q}&user=ann"), 422, "invalid_request")
    assert "q: has no text: type something to search for" in str(body["detail"])


@pytest.mark.parametrize(
    "path", ["/search?q=tent&filtre=", "/recommend?user=&session=", "/recommend?usr=", "/users/%20/history?limit="]
)
async def test_an_empty_field_makes_nothing_right(shop: Shop, path: str) -> None:
    """What is misspelt is refused all the same, and nobody is nobody."""
    assert_problem(await shop.get(path), 422, "invalid_request")


async def test_a_body_says_null_for_what_is_absent(shop: Shop) -> None:
    absent = {"q": "tent", "user": None, "filter": None, "k": 3}
    assert (await shop.client.post("/search", json=absent)).status_code == 200
    assert_problem(await shop.client.post("/search", json={"q": "tent", "user": ""}), 422, "invalid_request")
