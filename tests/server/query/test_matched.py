"""A search tells which of its words each item has, and where."""

import json

import pytest

from server.query import plan
from tests.support.http_shop import Shop
from tests.support.small_shop import NAMES

LANTERN = {
    "title": "Nordlys <b>Lanterns</b> 🏕 60m",
    "brand": "Nordlys",
    "categories": ["Camping", "Lights & Lanterns"],
    "description": "A café-blue light.",
    "price": 50,
}


@pytest.fixture
async def lantern(shop: Shop) -> None:
    assert (await shop.client.put("/items/CAM-0057", json=LANTERN)).status_code in {200, 201}


async def marked(shop: Shop, **asked: object) -> list[tuple[str, str, str]]:
    """The word, the field, and what stands there, of the lantern."""
    body = (await shop.get("/search", candidates="CAM-0057", **asked)).json()
    (item,) = body["items"]
    return [(m["word"], m["field"], text_at(item, m)) for m in item["matched"]]


def text_at(item: dict, match: dict) -> str:
    text = item[match["field"]]
    return (text if match["index"] is None else text[match["index"]])[match["start"] : match["end"]]


@pytest.mark.usefixtures("lantern")
@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("LANTERN", [("LANTERN", "title", "Lanterns"), ("LANTERN", "categories", "Lanterns")]),
        ("lantrens", [("lanterns", "title", "Lanterns"), ("lanterns", "categories", "Lanterns")]),
        ("nordl", [("nordl", "title", "Nordlys"), ("nordl", "brand", "Nordlys")]),
        ("60 m cafe", [("60", "title", "60"), ("m", "title", "m"), ("cafe", "description", "café")]),
        ("cam0057", [("cam0057", "id", "CAM-0057")]),
        ("camping under 100", [("camping", "categories", "Camping")]),
        ("zzzz", []),
        ("<b>", [("b", "title", "b"), ("b", "title", "b")]),
    ],
)
async def test_words_are_told_as_they_were_read(shop: Shop, query: str, expected: list[tuple[str, str, str]]) -> None:
    assert await marked(shop, q=query, understand="false" if "under" not in query else "true") == expected


@pytest.mark.usefixtures("lantern")
async def test_a_slip_that_was_not_corrected_and_a_word_that_is_complete(shop: Shop) -> None:
    found = await marked(shop, q="lantrens", correct="false")
    assert [(word, text) for word, _, text in found] == [("lantrens", "Lanterns")] * 2
    assert await marked(shop, q="nordl", prefix="false") == []


async def test_every_kind_of_request_has_it_and_only_searches_do(shop: Shop) -> None:
    asked = {"q": "title 7", "k": 2, "fields": ["price"]}
    line = json.loads((await shop.client.post("/batch", json=[{"kind": "search", **asked}])).text)["answer"]
    posted = (await shop.client.post("/search", json=asked)).json()
    got = (await shop.get("/search", q="title 7", k=2, fields="price")).json()
    for body in (line, posted, got):
        assert [(m["word"], m["field"], m["start"], m["end"]) for m in body["items"][0]["matched"]] == [
            ("title", "title", 0, 5),
            ("7", "title", 6, 7),
        ]
        assert list(body["items"][0]) == ["id", "score", "relevance", "reason", "matched", "price"]
    for path in ("/recommend?user=ada", f"/items/{NAMES[8]}/similar"):
        assert all("matched" not in item for item in (await shop.client.get(path)).json()["items"])


async def test_nobody_knows_without_guidance(shop: Shop) -> None:
    items = (await shop.get("/search", q="title 7", guidance="false")).json()["items"]
    assert [item["matched"] for item in items] == [None] * 10


async def test_an_item_that_has_changed_is_told_as_it_is(shop: Shop) -> None:
    assert (await shop.client.put(f"/items/{NAMES[7]}", json={"title": "quilt"})).status_code == 200
    (item,) = (await shop.get("/search", q="quilts title", candidates=NAMES[7])).json()["items"]
    assert [(m["word"], m["start"], m["end"]) for m in item["matched"]] == [("quilts", 0, 5)]


async def test_many_items_of_long_texts_are_told_with_bounds(shop: Shop) -> None:
    rows = [{"id": f"long-{i}", "title": "tent rope " * 1_000, "description": "tent " * 2_000} for i in range(2)]
    assert (await shop.client.post("/items", json=rows)).status_code == 200
    body = (await shop.get("/search", q="tent rope", k=200)).json()
    long = [item["matched"] for item in body["items"] if item["id"].startswith("long")]
    assert [len(found) for found in long] == [24, 24]


async def test_a_thread_tells_what_takes_long_and_nothing_else(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """A few known texts are told at once; many items, and long texts that nobody has looked at, are not."""
    told: list[bool] = []
    own = plan._is_quick
    monkeypatch.setattr(plan, "_is_quick", lambda *asked: told.append(own(*asked)) or told[-1])
    await shop.get("/search", q="title 7", k=5)
    await shop.get("/search", q="title 7", k=19, fields="price")
    await shop.get("/recommend", user="ada", k=5)
    assert told == [True, True, True]
    await shop.get("/recommend", user="ada", k=30)
    await shop.get("/search", q="title 7", k=30)
    long = {"title": "tent rope " * 600, "categories": ["rope " * 400], "description": "tent " * 1_000}
    assert (await shop.client.put("/items/long", json=long)).status_code in {200, 201}
    for _ in range(2):
        await shop.get("/search", q="tent", candidates="long")
    assert told[3:] == [False, False, False, True]
