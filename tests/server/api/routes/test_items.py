from urllib.parse import quote

import pytest

from tests.support.http_shop import Shop
from tests.support.problems import assert_problem
from tests.support.small_shop import NAMES


@pytest.mark.parametrize("row", range(5))
async def test_an_item_comes_with_every_field(shop: Shop, row: int) -> None:
    response = await shop.get(f"/items/{quote(NAMES[row], safe='/')}")
    assert response.status_code == 200
    assert response.json() == {
        "id": NAMES[row],
        "title": f"Title {row}",
        "description": None,
        "brand": "Alpina",
        "categories": ["outdoor", "camping"],
        "price": row,
        "available": True,
        "season": "summer",
    }


async def test_a_slash_may_be_escaped(shop: Shop) -> None:
    assert (await shop.get("/items/tent%2F2%20person")).json()["id"] == "tent/2 person"


async def test_an_item_that_is_not_available_is_still_known(shop: Shop) -> None:
    assert (await shop.get("/items/item-5")).json()["available"] is False


async def test_an_item_without_a_title_has_none(shop: Shop) -> None:
    assert (await shop.get("/items/item-6")).json()["title"] is None


@pytest.mark.parametrize("name", ["nope", "", "ITEM-9", "item-9/", "%00", "%FF", "x" * 5_000, "..%2F..%2Fetc%2Fpasswd"])
async def test_an_unknown_item_is_a_404(shop: Shop, name: str) -> None:
    response = await shop.get(f"/items/{name}")
    assert_problem(response, 404, "item_not_found")
    assert len(response.content) < 1_000
