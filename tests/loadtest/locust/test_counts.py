"""Totals, facets and orders that the oracle takes for true, and every one that it must not."""

from dataclasses import replace
from typing import Any

import pytest

from loadtest.locust.oracle.checks import check_answer
from loadtest.locust.oracle.expected_catalog import ExpectedCatalog, Interval
from loadtest.locust.oracle.expected_history import ExpectedHistories
from loadtest.locust.oracle.facet_checks import facet_columns
from loadtest.locust.oracle.filter_cases import FilterCase
from loadtest.locust.oracle.query import Query

NOW = Interval(10.0, 11.0)
BLUE = FilterCase('colour = "blue"', lambda record: record["colour"] == "blue", "colour")
CHEAP = FilterCase("price < 3", lambda record: record["price"] is not None and record["price"] < 3, "price")
BOTH = FilterCase("both", lambda record: BLUE.matches(record) and CHEAP.matches(record), parts=(BLUE, CHEAP))
COLOURS = ["blue", "red", None]
RECORDS: list[dict[str, Any]] = [
    {"id": f"i{n}", "title": f"{('warm tent', 'lamp')[n % 2]} {n}", "colour": COLOURS[n % 3], "available": n != 11}
    | {"price": None if n == 4 else float(n % 5), "tags": ["a", "b", "a"] if n < 3 else []}
    for n in range(12)
]
BROWSE = Query(kind="browse", k=4, sort_by=(("price", False),), facets=("colour", "tags", "price"))
COUNTED: dict[str, Any] = {
    "total": 11,
    "total_is": "allowed",
    "facetDistribution": {
        "colour": {"blue": 4, "red": 4},
        "tags": {"a": 3, "b": 3},
        "price": {"0": 3, "1": 2, "2": 2, "3": 2, "4": 1},
    },
    "facetValues": {"colour": 2, "tags": 2, "price": 5},
    "facetStats": {"price": {"min": 0.0, "max": 4.0, "avg": 1.6, "sum": 16.0}},
}


@pytest.fixture
def catalog() -> ExpectedCatalog:
    return ExpectedCatalog(RECORDS, clock=lambda: 5.0)


def answer(query: Query, *numbers: int, **changes: Any) -> dict[str, Any]:
    """A true one, if these are the items that come next."""
    items = [
        RECORDS[number] | {"score": 0.5, "relevance": None, "reason": {"code": "general", "item": None}}
        for number in numbers
    ]
    cursor = "next" if len(items) == query.k else None
    return {"items": items, "next_cursor": cursor, "degraded": False} | COUNTED | changes


def rules(query: Query, body: dict[str, Any], catalog: ExpectedCatalog) -> set[str]:
    return {fault.rule for fault in check_answer(query, body, NOW, catalog, ExpectedHistories())}


def test_what_is_sent_is_what_is_checked() -> None:
    asked = replace(BROWSE, sort_by=(("price", True), ("colour", False)), disjunctive=True).parameters()
    assert (asked["sort_by"], asked["total"]) == ("price:desc,colour:asc", True)
    assert (asked["facets"], asked["disjunctive_facets"]) == (["colour", "tags", "price"], True)
    assert {"sort_by", "facets", "total"}.isdisjoint(Query(kind="search", q="tent", disjunctive=True).parameters())


def test_columns_of_times_and_of_texts_are_not_counted() -> None:
    times = [{"id": "i", "title": "Tent", "made": "2026-11-29", "price": None, "colour": "red", "new": True}]
    assert facet_columns([*times, *RECORDS[:1]]) == ["colour", "new", "available", "price", "tags"]


@pytest.mark.parametrize("first", [(0, 10, 5, 1), (0, 10, 5, 6)])
def test_true_counts_and_a_true_order_have_no_fault(catalog: ExpectedCatalog, first: tuple[int, ...]) -> None:
    """What is equal comes by id where no model ranks it."""
    assert rules(BROWSE, answer(BROWSE, *sorted(first, key=lambda n: (RECORDS[n]["price"], f"i{n}"))), catalog) == set()


@pytest.mark.parametrize(
    ("numbers", "rule"),
    [
        ((0, 10, 1, 5), "order"),  # not sorted
        ((10, 0, 5, 1), "order"),  # equal ones not by id
        ((0, 10, 1, 6), "order"),  # the fifth item is left out
        ((0, 10, 5), "count"),
    ],
)
def test_a_wrong_order_is_told(catalog: ExpectedCatalog, numbers: tuple[int, ...], rule: str) -> None:
    assert rule in rules(BROWSE, answer(BROWSE, *numbers), catalog)


def test_nothing_comes_last_in_both_directions(catalog: ExpectedCatalog) -> None:
    shown = tuple(f"i{n}" for n in (9, 3, 8, 2, 7, 1, 6, 0, 10))
    for falls, front in ((True, 5), (False, 9)):
        query = replace(BROWSE, sort_by=(("price", falls),), shown=tuple({*shown, "i5", "i9"} - {f"i{front}"}))
        assert rules(query, answer(query, front, 4), catalog) == set()
        assert "order" in rules(query, answer(query, 4, front), catalog)


def test_equal_items_of_a_model_stand_by_score(catalog: ExpectedCatalog) -> None:
    query = replace(BROWSE, kind="recommend", history=("none",), facets=())
    body = answer(query, 10, 0, 5, 6)
    assert rules(query, body, catalog) == set()
    body["items"][1]["score"] = 0.9
    assert rules(query, body, catalog) == {"order"}


def changed(path: tuple[str, ...], value: Any) -> dict[str, Any]:
    """The counts with one of them replaced."""
    if len(path) == 1:
        return {path[0]: value}
    inner = COUNTED
    for name in path[:-1]:
        inner = inner[name]
    made: Any = inner | {path[-1]: value}
    return {path[0]: COUNTED[path[0]] | {path[1]: made}} if len(path) == 3 else {path[0]: made}


@pytest.mark.parametrize(
    ("path", "value", "rule"),
    [
        (("total",), 10, "total"),
        (("total_is",), "matching", "total"),
        (("facetDistribution", "colour", "blue"), 5, "facets"),
        (("facetDistribution", "colour", "green"), 1, "facets"),
        (("facetDistribution", "colour"), {"red": 4, "blue": 4}, "facets"),
        (("facetDistribution", "tags"), {"a": 3}, "facets"),
        (("facetDistribution", "tags", "a"), 6, "facets"),
        (("facetDistribution", "price"), {"0.0": 3, "1": 2, "2": 2, "3": 2, "4": 1}, "facets"),
        (("facetValues", "colour"), 3, "facets"),
        (("facetStats", "price", "max"), 9.0, "facets"),
        (("facetStats", "price", "min"), 1.0, "facets"),
        (("facetStats", "price", "avg"), 5.0, "facets"),
        (("facetStats",), {}, "facets"),
    ],
)
def test_a_wrong_count_is_told(catalog: ExpectedCatalog, path: tuple[str, ...], value: Any, rule: str) -> None:
    assert rules(BROWSE, answer(BROWSE, 0, 10, 5, 1, **changed(path, value)), catalog) == {rule}


def test_counts_beside_a_choice_leave_the_choice_out(catalog: ExpectedCatalog) -> None:
    query = replace(BROWSE, filter=BOTH, facets=("colour",))
    shown = {"facetDistribution": {"colour": {"blue": 2}}, "facetValues": {"colour": 1}, "total": 2}
    assert rules(query, answer(query, 0, 6, **shown), catalog) == set()
    beside = shown | {"facetDistribution": {"colour": {"red": 3, "blue": 2}}, "facetValues": {"colour": 2}}
    assert rules(query, answer(query, 0, 6, **beside), catalog) == {"facets"}
    assert rules(replace(query, disjunctive=True), answer(query, 0, 6, **beside), catalog) == set()
    assert rules(replace(query, disjunctive=True), answer(query, 0, 6, **shown), catalog) == {"facets"}
    assert CHEAP.without("colour") is CHEAP
    assert CHEAP.without("price") is None


def test_a_change_under_way_may_be_counted_or_not(catalog: ExpectedCatalog) -> None:
    query, more = replace(BROWSE, facets=("colour",)), {"colour": {"blue": 5, "red": 4}}
    assert rules(query, answer(query, 0, 10, 5, 1, facetDistribution=more), catalog) == {"facets"}
    edit = catalog.begin_edit("i2", RECORDS[2] | {"colour": "blue"})
    assert rules(query, answer(query, 0, 10, 5, 1, facetDistribution=more), catalog) == set()
    assert rules(query, answer(query, 0, 10, 5, 1), catalog) == set()
    catalog.acknowledge(edit)
    assert rules(query, answer(query, 0, 10, 5, 1), catalog) == {"facets"}


def test_a_search_counts_at_least_what_has_its_words_in_the_title(catalog: ExpectedCatalog) -> None:
    query = Query(kind="search", q="Warm tent", k=2, sort_by=(("price", False),), facets=("colour",))
    shown: dict[str, Any] = {
        "total": 6,
        "total_is": "matching",
        "facetDistribution": {"colour": {"blue": 2, "red": 2}},
        "facetValues": {"colour": 2},
    }

    def told(*numbers: int, **changes: Any) -> set[str]:
        body = answer(query, *numbers, **(shown | changes))
        for item in body["items"]:
            item["reason"] = {"code": "query", "item": None}
        return rules(query, body, catalog)

    assert told(0, 10) == set()
    assert told(0, 10, total=9) == set()  # nobody knows what else has a word
    assert told(0, 10, total=5) == {"total"}
    assert told(0, 10, total=12) == {"total"}
    assert told(0, 10, facetDistribution={"colour": {"blue": 1, "red": 2}}) == {"facets"}
    assert told(0, 6) == {"order"}  # i10 is cheaper
    assert told(0, 10, total=5, corrected_query="warm tents") == set()
    only = {"facetDistribution": {"colour": {"blue": 1, "red": 1}}, "total": 2, "total_is": "answer"}
    assert told(0, 10, **only) == set()
    assert told(0, 10, **(only | {"total": 3})) == {"total"}
    assert told(0, 10, **(only | {"total_is": "allowed"})) == {"total", "facets"}
