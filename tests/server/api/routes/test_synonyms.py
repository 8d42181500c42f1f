"""Synonyms over HTTP: written, listed, deleted, refused, and read in queries."""

from typing import Any

import pytest

from server.serving.sync.synonym_sync import SynonymSync
from tests.support.http_shop import Shop
from tests.support.problems import assert_problem
from tests.support.small_shop import RecordingEngine


async def put(shop: Shop, name: str, *synonyms: str, **others: Any) -> None:
    response = await shop.client.put(f"/synonyms/{name}", json={"synonyms": synonyms, **others})
    assert response.status_code == 200, response.text


async def read(shop: Shop, query: str, **parameters: Any) -> list[tuple[str, str]]:
    understood = (await shop.get("/search", q=query, **parameters)).json()["understood"]
    return [] if understood is None else [(one["word"], one["read_as"]) for one in understood["synonyms"]]


async def test_a_set_is_written_read_replaced_and_deleted(shop: Shop) -> None:
    await put(shop, "seats", "sofa", "couch")
    assert (await shop.get("/synonyms/seats")).json() == {"id": "seats", "synonyms": ["sofa", "couch"], "root": None}
    assert await read(shop, "red sofas") == [("sofas", "couch")]
    assert await read(shop, "COUCH") == [("COUCH", "sofa")]
    again = await shop.client.put("/synonyms/seats", json={"synonyms": ["couch"], "root": "settee"})
    assert again.json()["created"] is False
    assert await read(shop, "settee") == [("settee", "couch")]
    assert await read(shop, "couch") == [], "one way"
    assert (await shop.client.delete("/synonyms/seats")).json()["id"] == "seats"
    assert_problem(await shop.client.delete("/synonyms/seats"), 404, "synonym_not_found")
    assert_problem(await shop.get("/synonyms/seats"), 404, "synonym_not_found")
    assert await read(shop, "settee") == []


async def test_understand_false_reads_no_synonyms(shop: Shop) -> None:
    await put(shop, "seats", "sofa", "couch")
    assert await read(shop, "sofa", understand=False) == []
    assert (await shop.get("/search", q="sofa", understand=False)).json()["corrected_query"] is None


async def test_prices_and_synonyms_are_told_together(shop: Shop) -> None:
    await put(shop, "tents", "tent", "bivouac")
    understood = (await shop.get("/search", q="tent under 20", correct=False)).json()["understood"]
    assert understood["filter"] == "price <= 20"
    assert understood["synonyms"] == [{"id": "tents", "word": "tent", "read_as": "bivouac"}]
    alone = (await shop.get("/search", q="tent")).json()["understood"]
    assert (alone["filter"], alone["price"], alone["query"]) == (None, None, "tent")


async def test_the_word_of_a_synonym_is_not_corrected_and_slips_become_it(shop: Shop) -> None:
    assert (await shop.get("/search", q="summerr")).json()["corrected_query"] == "summer"
    await put(shop, "seasons", "summerr", "estival")
    assert (await shop.get("/search", q="summerr")).json()["corrected_query"] is None
    body = (await shop.get("/search", q="estivall")).json()
    assert body["corrected_query"] == "estival"
    assert body["understood"]["synonyms"] == [{"id": "seasons", "word": "estival", "read_as": "summerr"}]


async def test_the_model_reads_a_word_that_it_knows_in_the_place_of_one_that_nobody_knows(
    shop: Shop, engine: RecordingEngine
) -> None:
    await put(shop, "seasons", "summer", "xyzzyq")
    for query in ("xyzzyq", "summer"):
        await shop.get("/search", q=query, k=3)
    strange, known = (request.prompt for request in engine.requests[-2:])
    assert strange == known


async def test_lists_are_paged(shop: Shop) -> None:
    for number in range(5):
        await put(shop, f"set {number}", f"a{number}x", f"b{number}y")
    first = (await shop.get("/synonyms", limit=2)).json()
    assert [one["id"] for one in first["synonyms"]] == ["set 0", "set 1"]
    assert (first["total"], first["next_cursor"]) == (5, "set 1")
    last = (await shop.get("/synonyms", limit=3, cursor="set 1")).json()
    assert [one["id"] for one in last["synonyms"]] == ["set 2", "set 3", "set 4"]
    assert last["next_cursor"] is None
    found = (await shop.get("/synonyms", q="A3X", limit=1)).json()
    assert ([one["id"] for one in found["synonyms"]], found["total"], found["next_cursor"]) == (["set 3"], 1, None)


@pytest.mark.parametrize(
    ("body", "field", "code"),
    [
        ({"synonyms": ["sofa"]}, "synonyms", "too_short"),
        ({"synonyms": []}, "synonyms", "too_short"),
        ({"synonyms": ["sofa", "Sofá"]}, "synonyms.1", "same_word"),
        ({"synonyms": ["sofa", "couch", "sofa!"]}, "synonyms.2", "same_word"),
        ({"synonyms": ["couch", "sofa"], "root": "sofa"}, "synonyms.1", "same_word"),
        ({"synonyms": ["sofa", ""]}, "synonyms.1", "no_word"),
        ({"synonyms": ["sofa", " \u200b!"]}, "synonyms.1", "no_word"),
        ({"synonyms": ["sofa"], "root": ""}, "root", "no_word"),
        ({"synonyms": ["sofa", "a" * 10_000]}, "synonyms.1", "synonym_too_long"),
        ({"synonyms": ["sofa", "a" * 70]}, "synonyms.1", "word_too_long"),
        ({"synonyms": ["sofa", "one two three four five six"]}, "synonyms.1", "too_many_words"),
        ({"synonyms": [f"word{letter}" for letter in "abcdefghi"]}, "synonyms", "too_long"),
        ({"synonyms": ["sofa", "couch"], "rot": "x"}, "rot", None),
        ({"synonyms": ["sofa", 3]}, "synonyms.1", "string_type"),
        ({"synonyms": "sofa, couch"}, "synonyms", "list_type"),
        ({"root": "sofa"}, "synonyms", "missing"),
    ],
)
async def test_sets_that_are_refused(shop: Shop, body: object, field: str, code: str | None) -> None:
    response = await shop.client.put("/synonyms/seats", json=body)
    faults = assert_problem(response, 422, "invalid_request")["errors"]
    assert isinstance(faults, list)
    assert faults[0]["field"] == field
    assert code is None or faults[0]["code"] == code
    assert (await shop.get("/synonyms")).json()["total"] == 0


async def test_cycles_and_words_that_no_item_has_do_no_harm(shop: Shop) -> None:
    before = await shop.ids("/search", q="tent", k=5)
    await put(shop, "one", "qqq", root="tent")
    await put(shop, "two", "zzz", root="qqq")
    await put(shop, "three", "tent", root="zzz")
    assert await read(shop, "tent") == [("tent", "qqq")], "each word is replaced once"
    assert await read(shop, "zzz qqq") == [("qqq", "zzz"), ("zzz", "tent")]
    assert await shop.ids("/search", q="tent", k=5) == before


async def test_too_many_are_refused_and_fewer_are_not(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SynonymSync, "limits", ((4, "over 4 words"),))
    await put(shop, "one", "a", "b")
    await put(shop, "two", "c", "d")
    refused = await shop.client.put("/synonyms/three", json={"synonyms": ["e", "f"]})
    assert "too_many_synonyms" in refused.text
    assert_problem(refused, 422, "invalid_request")
    await shop.client.delete("/synonyms/one")
    await put(shop, "three", "e", "f")
