"""POST /overrides/import and POST /synonyms/import: every line is answered, and those that can be taken are kept."""

from typing import Any

import orjson
import pytest

from server.api.bulk import lines as reading
from server.core.errors import HistoryUnavailable
from server.serving.sync.override_sync import OverrideSync
from server.serving.sync.synonym_sync import SynonymSync
from tests.support.http_shop import Shop
from tests.support.problems import assert_problem

NDJSON = {"content-type": "application/x-ndjson"}
HIDE: dict[str, Any] = {"rule": {"query": "tent"}, "excludes": ["item-9"]}


async def imported(shop: Shop, what: str, *lines: object) -> list[str]:
    """A word for each line."""
    content = b"\n".join(line if isinstance(line, bytes) else orjson.dumps(line) for line in lines)
    response = await shop.client.post(f"/{what}/import", content=content, headers=NDJSON)
    assert response.status_code == 200, response.text
    answers = [orjson.loads(line) for line in response.content.splitlines()]
    assert [answer["index"] for answer in answers] == list(range(len(answers)))
    return [answer.get("result") or _fault(answer["problem"]) for answer in answers]


def _fault(problem: dict[str, Any]) -> str:
    return problem["errors"][0]["field"] if "errors" in problem else problem["code"]


async def test_a_broken_line_spoils_no_other(shop: Shop) -> None:
    await shop.client.put("/overrides/old", json=HIDE)
    lines = [
        HIDE | {"id": "new"},
        b"{",
        [],
        HIDE,
        HIDE | {"id": ""},
        HIDE | {"id": "wrong", "filter_by": "pryce < 3"},
        HIDE | {"id": "wrong", "rule": {}},
        HIDE | {"id": "old"},
        HIDE | {"id": "old", "priority": 3},
        HIDE | {"id": 7},
    ]
    words = ["inserted", "malformed_json", "body", "id", "id", "filter_by", "rule", "unchanged", "replaced", "inserted"]
    assert await imported(shop, "overrides", *lines) == words
    listed = (await shop.get("/overrides")).json()["overrides"]
    assert {one["id"]: one["priority"] for one in listed} == {"new": 0, "old": 3, "7": 0}


async def test_sets_of_synonyms_are_imported_and_read(shop: Shop) -> None:
    lines = [{"id": "a", "synonyms": ["sofa", "couch"]}, {"id": "b", "synonyms": ["x"]}, {"id": "c", "synonims": []}]
    assert await imported(shop, "synonyms", *lines) == ["inserted", "synonyms", "synonims"]
    assert (await shop.get("/search", q="red sofa")).json()["understood"]["synonyms"][0]["read_as"] == "couch"
    answer = await shop.client.post("/synonyms/import", json=[{"id": "d", "synonyms": ["tent"], "root": "yurt"}])
    assert orjson.loads(answer.content) == {"index": 0, "id": "d", "result": "inserted"}


async def test_those_that_fit_are_taken(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SynonymSync, "limits", ((5, "over 5 words"),))
    sets = [{"id": str(n), "synonyms": [f"a{n}", f"b{n}", "c"][:size]} for n, size in enumerate((2, 2, 3, 2))]
    smaller = {"id": "0", "synonyms": ["sofa"], "root": "couch"}
    assert await imported(shop, "synonyms", *sets[:3], smaller) == ["inserted", "inserted", "synonyms", "replaced"]


async def test_a_chunk_is_one_change(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "MAX_CHUNK_LINES", 4)
    writes: list[int] = []
    take = OverrideSync._take

    async def noted(self: OverrideSync, stored: Any) -> None:
        writes.append(len(stored.entries))
        await take(self, stored)

    monkeypatch.setattr(OverrideSync, "_take", noted)
    assert await imported(shop, "overrides", *(HIDE | {"id": str(n)} for n in range(10))) == ["inserted"] * 10
    assert await imported(shop, "overrides", *(HIDE | {"id": str(n)} for n in range(10))) == ["unchanged"] * 10
    assert writes == [4, 8, 10]


async def test_lines_after_the_most_are_told(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("server.api.bulk.entries.MAX_ENTRY_LINES", 2)
    words = await imported(shop, "overrides", *(HIDE | {"id": str(n)} for n in range(4)))
    assert words == ["inserted", "inserted", "too_many_items"]


async def test_without_redis_each_line_says_so(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    async def away(*_: object) -> None:
        raise HistoryUnavailable("the test took it away")

    monkeypatch.setattr(OverrideSync, "_newest", away)
    assert await imported(shop, "overrides", HIDE | {"id": "a"}, b"{") == ["history_unavailable", "malformed_json"]


@pytest.mark.parametrize("what", ["overrides", "synonyms"])
async def test_what_is_no_import_is_refused(shop: Shop, what: str) -> None:
    path = f"/{what}/import"
    assert_problem(await shop.client.post(path, content=b"", headers=NDJSON), 422, "invalid_request")
    assert_problem(await shop.client.post(path, json=[]), 422, "invalid_request")
    assert_problem(
        await shop.client.post(path, content=b"x", headers={"content-type": "text/csv"}), 415, "unsupported_media_type"
    )
    assert_problem(await shop.client.post(f"{path}?dry_run=true", json=[HIDE]), 422, "invalid_request")
