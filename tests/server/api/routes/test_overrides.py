"""Overrides over HTTP: written, listed, deleted and refused."""

from typing import Any

import pytest

from server.serving.sync.override_sync import OverrideSync
from tests.support.http_shop import Shop
from tests.support.problems import assert_problem

HIDE: dict[str, Any] = {"rule": {"query": "tent"}, "excludes": ["item-9"]}


async def put(shop: Shop, name: str, **body: Any) -> dict[str, Any]:
    response = await shop.client.put(f"/overrides/{name}", json=body)
    assert response.status_code == 200, response.text
    written: dict[str, Any] = response.json()
    return written


async def test_one_is_written_read_replaced_and_deleted(shop: Shop) -> None:
    whole = {
        "rule": {"query": "Tent", "match": "contains", "filter_by": "price<9", "tags": ["sale", "home page"]},
        "includes": [{"item_id": "item-9", "position": 2.0}, {"id": "nobody", "position": 1}],
        "excludes": ["item-8", {"id": "item-7"}, {"item_id": "ghost"}, 3, "item-8"],
        "filter_by": "price > 1 or price < 1",
        "boost": [{"condition": 'brand = "Alpina"', "factor": 2}],
        "replace_query": "warm tent",
        "remove_matched_tokens": False,
        "stop_processing": True,
        "priority": 5,
        "starts_at": "2026-01-01T00:00:00+01:00",
        "ends_at": 1_800_000_000,
    }
    written = await put(shop, "a/b c", **whole)
    assert (written.pop("created"), written.pop("missing")) == (True, ["nobody", "ghost", "3"])
    assert written.pop("request_id")
    expected = whole | {
        "id": "a/b c",
        "includes": [{"id": "item-9", "position": 2}, {"id": "nobody", "position": 1}],
        "excludes": [{"id": "item-8"}, {"id": "item-7"}, {"id": "ghost"}, {"id": "3"}],
        "starts_at": "2025-12-31T23:00:00Z",
        "ends_at": "2027-01-15T08:00:00Z",
    }
    assert written == expected
    assert (await shop.get("/overrides/a/b c")).json() == expected
    assert (await put(shop, "a/b c", **HIDE))["created"] is False
    assert (await shop.client.delete("/overrides/a/b c")).json()["id"] == "a/b c"
    assert_problem(await shop.client.delete("/overrides/a/b c"), 404, "override_not_found")
    assert_problem(await shop.get("/overrides/a/b c"), 404, "override_not_found")


async def test_what_was_shown_can_be_written_again(shop: Shop) -> None:
    await put(shop, "one", **HIDE, starts_at=1_700_000_000_500, ends_at="2030-01-01T00:00:00Z")
    shown = (await shop.get("/overrides/one")).json()
    assert shown["starts_at"] == "2023-11-14T22:13:20.500000Z", "milliseconds are told by their size"
    again = await put(shop, "two", **{name: value for name, value in shown.items() if name != "id"})
    assert {**again, "id": "one"} == {**again, **shown}


async def test_lists_are_paged(shop: Shop) -> None:
    for number in range(5):
        await put(shop, f"rule {number}", **HIDE)
    first = (await shop.get("/overrides", limit=2)).json()
    assert [one["id"] for one in first["overrides"]] == ["rule 0", "rule 1"]
    assert (first["total"], first["next_cursor"]) == (5, "rule 1")
    last = (await shop.get("/overrides", limit=3, cursor="rule 1")).json()
    assert [one["id"] for one in last["overrides"]] == ["rule 2", "rule 3", "rule 4"]
    assert last["next_cursor"] is None


@pytest.mark.parametrize(
    ("letters", "names"),
    [
        ("RULE", ["rule 1", "rule 2"]),
        ("warm te", ["rule 1"]),
        ("sale", ["rule 2"]),
        ("item-8", ["rule 2"]),
        ("price<", ["rule 2"]),
        ("x", []),
    ],
)
async def test_a_list_is_searched(shop: Shop, letters: str, names: list[str]) -> None:
    await put(shop, "rule 1", rule={"query": "Warm tents"}, excludes=["item-9"])
    await put(shop, "rule 2", rule={"tags": ["sale"], "filter_by": "price<9"}, excludes=["item-8"])
    found = (await shop.get("/overrides", q=letters, limit=1)).json()
    assert [one["id"] for one in found["overrides"]] == names[:1]
    assert (found["total"], found["next_cursor"]) == (len(names), names[0] if len(names) > 1 else None)


PIN = {"id": "item-9", "position": 1}


@pytest.mark.parametrize(
    ("change", "field", "code"),
    [
        ({"rule": {}}, "rule", "matches_everything"),
        ({"rule": {"match": "contains"}}, "rule", "matches_everything"),
        ({"rule": {"tags": []}}, "rule", "matches_everything"),
        ({"rule": None}, "rule", "model_type"),
        ({"rule": {"query": "!!!"}}, "rule.query", "no_word"),
        ({"rule": {"query": "*"}}, "rule.query", "no_word"),
        ({"rule": {"query": "   "}}, "rule.query", "empty_query"),
        ({"rule": {"query": "w " * 21}}, "rule.query", "too_many_words"),
        ({"rule": {"query": "w" * 1_001}}, "rule.query", "query_too_long"),
        ({"rule": {"query": "tent", "match": "exactly"}}, "rule.match", "literal_error"),
        ({"rule": {"query": "tent", "quary": "x"}}, "rule.quary", "extra_forbidden"),
        ({"rule": {"tags": [""]}}, "rule.tags.0", "no_tag"),
        ({"rule": {"tags": ["a,b"]}}, "rule.tags.0", "no_tag"),
        ({"rule": {"tags": ["x"] * 21}}, "rule.tags", "too_long"),
        ({"rule": {"filter_by": ""}}, "rule.filter_by", "string_too_short"),
        ({"rule": {"filter_by": "price <"}}, "rule.filter_by", "invalid_filter"),
        ({"rule": {"filter_by": "colour_of_roof = 1"}}, "rule.filter_by", "invalid_filter"),
        ({"filter_by": "price > 1 and pryce < 2"}, "filter_by", "invalid_filter"),
        ({"filter_by": "x" * 4_097}, "filter_by", "string_too_long"),
        ({"boost": [{"condition": "price > 'a'", "factor": 2}]}, "boost.0.condition", "invalid_filter"),
        ({"boost": [{"condition": "price > 1", "factor": 0}]}, "boost.0.factor", "greater_than"),
        ({"boost": [{"condition": "price > 1", "factor": -2}]}, "boost.0.factor", "greater_than"),
        ({"boost": [{"condition": "price > 1", "factor": 101}]}, "boost.0.factor", "less_than_equal"),
        ({"boost": [{"condition": "price > 1", "factor": True}]}, "boost.0.factor", "not_a_number"),
        ({"boost": [{"condition": "price > 1", "factor": 2}] * 4}, "boost", "too_long"),
        ({"excludes": []}, "request", "no_effect"),
        ({"replace_query": " !"}, "replace_query", "no_word"),
        ({"replace_query": "a" * 100_000}, "replace_query", "query_too_long"),
        ({"replace_query": "red tent", "remove_matched_tokens": True}, "remove_matched_tokens", "two_texts"),
        ({"rule": {"tags": ["a"]}, "remove_matched_tokens": True}, "remove_matched_tokens", "no_word"),
        ({"stop_processing": "perhaps"}, "stop_processing", "bool_parsing"),
        ({"excludes": ["a"] * 1_001}, "excludes", "too_long"),
        ({"excludes": [" "]}, "excludes.0.id", "empty_id"),
        ({"includes": [PIN]}, "excludes.0", "pinned_and_excluded"),
        ({"includes": [PIN, PIN], "excludes": []}, "includes", "pinned_twice"),
        ({"includes": [PIN, {"id": "a", "position": 1}], "excludes": []}, "includes", "pinned_twice"),
        ({"includes": [{"id": "item-1", "position": 0}]}, "includes.0.position", "greater_than_equal"),
        ({"includes": [{"id": "item-1"}]}, "includes.0.position", "missing"),
        ({"includes": [{"id": str(n), "position": n} for n in range(1, 52)]}, "includes", "too_long"),
        ({"priority": 1.5}, "priority", "not_a_whole_number"),
        ({"priority": 1_001}, "priority", "less_than_equal"),
        ({"starts_at": "2026-01-01T00:00:00"}, "starts_at", "no_moment"),
        ({"starts_at": "tomorrow"}, "starts_at", "no_moment"),
        ({"starts_at": True}, "starts_at", "not_a_number"),
        ({"ends_at": 5}, "ends_at", "no_moment"),
        ({"ends_at": 1e300}, "ends_at", "no_moment"),
        ({"starts_at": 1_700_000_000, "ends_at": 1_700_000_000}, "ends_at", "ends_before_it_starts"),
        ({"starts_at": "2026-01-02T00:00:00Z", "ends_at": "2026-01-01T00:00:00Z"}, "ends_at", "ends_before_it_starts"),
        ({"include": []}, "include", "extra_forbidden"),
    ],
)
async def test_overrides_that_are_refused(shop: Shop, change: dict[str, Any], field: str, code: str) -> None:
    response = await shop.client.put("/overrides/one", json=HIDE | change)
    faults = assert_problem(response, 422, "invalid_request")["errors"]
    assert isinstance(faults, list)
    assert [(fault["field"], fault["code"]) for fault in faults[:1]] == [(field, code)]
    assert (await shop.get("/overrides")).json()["total"] == 0


async def test_an_unknown_column_is_named_with_its_place(shop: Shop) -> None:
    response = await shop.client.put("/overrides/one", json=HIDE | {"filter_by": "price > 1 and pryce < 2"})
    assert "filter_by: character 15: " in response.json()["detail"]
    assert "pryce" in response.json()["detail"]


async def test_too_many_are_refused_and_fewer_are_not(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(OverrideSync, "limits", ((2, "over 2 overrides"), (4_000, "over 4,000 characters")))
    await put(shop, "one", **HIDE)
    await put(shop, "two", **HIDE)
    refused = await shop.client.put("/overrides/three", json=HIDE)
    assert "too_many_overrides" in refused.text
    assert_problem(refused, 422, "invalid_request")
    await put(shop, "two", **HIDE, priority=3)
    await shop.client.delete("/overrides/one")
    await put(shop, "three", **HIDE)
    monkeypatch.setattr(OverrideSync, "limits", ((2, "over 2 overrides"), (600, "over 600 characters")))
    refused = await shop.client.put("/overrides/two", json=HIDE | {"excludes": ["x" * 200, "y" * 200]})
    assert "over 600 characters" in refused.text
    await shop.client.delete("/overrides/three")
