"""Queries that are guided by what the catalog knows without the model."""

import pytest

from tests.support.http_shop import Shop
from tests.support.small_shop import NAMES, UNAVAILABLE, RecordingEngine

TITLED = [row for row in range(len(NAMES)) if row not in UNAVAILABLE | {6}]


async def first(shop: Shop, **parameters: object) -> str:
    return (await shop.ids("/search", guidance=True, **parameters))[0]


async def test_every_item_is_found_first_by_its_title_and_by_its_id(shop: Shop) -> None:
    for row in TITLED:
        assert await first(shop, q=f"title {row}", k=3) == NAMES[row]
        assert await first(shop, q=NAMES[row], k=3) == NAMES[row]


async def test_without_guidance_nothing_is_asked_of_the_priors(shop: Shop, engine: RecordingEngine) -> None:
    found = await shop.ids("/search", q="title 7", k=30)
    assert found == await shop.ids("/search", q="title 7", k=30, guidance=False)
    assert [request.prior for request in engine.requests] == [None, None]


@pytest.mark.parametrize("names", [["aaa"], ["zzz", "mmm"]])
async def test_items_are_found_where_new_ones_have_moved_them(shop: Shop, names: list[str]) -> None:
    assert await first(shop, q="title 20", k=3) == NAMES[20]
    for name in names:
        response = await shop.client.put(f"/items/{name}", json={"title": f"new {name}"})
        assert response.status_code in {200, 201}, response.text
    for row in TITLED:
        assert await first(shop, q=f"title {row}", k=3) == NAMES[row]


async def test_filters_and_what_was_seen_hold(shop: Shop) -> None:
    assert NAMES[7] not in await shop.ids("/search", q="title 7", guidance=True, filter="price > 7", k=30)
    await shop.saw("ada", NAMES[7])
    assert NAMES[7] not in await shop.ids("/recommend", user="ada", guidance=True, k=30)
    hidden = await shop.ids("/search", q="title 5", guidance=True, k=30)
    assert NAMES[5] not in hidden


async def test_pages_go_on(shop: Shop) -> None:
    whole = await shop.ids("/search", q="title 7", guidance=True, k=20)
    page = (await shop.get("/search", q="title 7", guidance=True, k=10)).json()
    rest = (await shop.get("/search", q="title 7", guidance=True, k=10, cursor=page["next_cursor"])).json()
    assert [item["id"] for item in [*page["items"], *rest["items"]]] == whole
    refused = await shop.get("/search", q="title 7", k=10, cursor=page["next_cursor"])
    assert refused.json()["code"] == "foreign_cursor"


async def test_it_is_explained(shop: Shop) -> None:
    await shop.saw("ada", NAMES[3])
    response = await shop.get("/search", q="title 7", user="ada", guidance=True, explain=True, k=2)
    top = response.json()["items"][0]
    assert top["id"] == NAMES[7]
    assert top["score"] > 10
    assert 0.9 < top["relevance"] <= 1
    assert abs(top["explanation"]["history_effect"]) < top["score"]
