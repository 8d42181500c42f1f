"""What the oracle knows of suggestions: who typed what, and which values and items there are."""

from typing import Any

import pytest

from loadtest.locust.oracle.expected_catalog import ExpectedCatalog, Interval
from loadtest.locust.oracle.expected_history import ExpectedHistories
from loadtest.locust.oracle.suggestion_checks import RENEWED_SECONDS, ExpectedQueries, check_suggestions

RECORDS = [
    {"id": f"i{n}", "title": f"Tent {n}", "brand": ("Tentmaker", None)[n % 2], "available": n != 3} for n in range(4)
]
NOW = 100.0


@pytest.fixture
def catalog() -> ExpectedCatalog:
    return ExpectedCatalog(RECORDS, clock=lambda: 5.0)


def typed_by(people: int, acknowledged: int, at: float = 0.0) -> ExpectedQueries:
    """So many people of this run typed `hidden tent`, and of some the event was acknowledged."""
    queries, histories = ExpectedQueries("hidden", clock=lambda: at), ExpectedHistories(clock=lambda: at)
    for number in range(people):
        event = histories.send(f"user {number}", "i1", "click", "hidden tent")
        queries.send(event)
        queries.send(histories.send(f"user {number}", "i2", "click", "tent"))
        if number < acknowledged:
            queries.acknowledge(event)
    return queries


def rules(
    catalog: ExpectedCatalog, own: ExpectedQueries, typed: str = "hidden", *, renewed: bool = True, **body: Any
) -> set[str]:
    allowed = catalog.allowed(Interval(NOW, NOW + 1), None, excluded=set(), possibly_excluded=set())
    whole = {"queries": [], "categories": [], "items": []} | body
    return {fault.rule for fault in check_suggestions(typed, 3, whole, allowed, own, NOW, renewed=renewed)}


def test_a_query_of_four_people_is_private(catalog: ExpectedCatalog) -> None:
    shown = [{"text": "hidden tent", "start": 6}]
    assert rules(catalog, typed_by(4, 4), queries=shown) == {"private query"}
    assert rules(catalog, typed_by(5, 0), queries=shown) == set()
    twice = typed_by(4, 4)
    for _ in range(3):
        twice.send(ExpectedHistories().send("user 0", "i1", "click", "hidden tent"))
    assert rules(catalog, twice, queries=shown) == {"private query"}
    others = [{"text": text, "start": 0} for text in ("ann@example.org", "tent", "Tent")]
    assert rules(catalog, typed_by(5, 0), "t", queries=others) == {"private query", "distinct"}


def test_a_query_of_five_people_comes_in_good_time(catalog: ExpectedCatalog) -> None:
    assert rules(catalog, typed_by(5, 5)) == {"lost query"}
    assert rules(catalog, typed_by(5, 5), "hid") == set()
    assert rules(catalog, typed_by(5, 4)) == set()
    assert rules(catalog, typed_by(5, 5, at=NOW - RENEWED_SECONDS / 2)) == set()
    assert rules(catalog, typed_by(5, 5), renewed=False) == set()


def test_values_are_counted_and_begin_as_was_typed(catalog: ExpectedCatalog) -> None:
    value = {"column": "brand", "value": "Tentmaker", "count": 2}
    assert rules(catalog, typed_by(0, 0), "TEN", categories=[value]) == set()
    assert rules(catalog, typed_by(0, 0), "ten", categories=[value | {"count": 3}]) == {"facets"}
    assert rules(catalog, typed_by(0, 0), "ten", categories=[value | {"value": "Tent", "count": 0}]) == {"facets"}
    assert rules(catalog, typed_by(0, 0), "lamp", categories=[value]) == {"suggestion"}


def test_items_may_be_shown_and_are_as_they_were_written(catalog: ExpectedCatalog) -> None:
    item = RECORDS[1] | {"start": 0, "end": 3}
    assert rules(catalog, typed_by(0, 0), "ten", items=[item]) == set()
    assert rules(catalog, typed_by(0, 0), "ten", items=[item | {"brand": "Other"}]) == {"record"}
    assert rules(catalog, typed_by(0, 0), "ten", items=[item | {"end": 30}]) == {"matched"}
    assert rules(catalog, typed_by(0, 0), "ten", items=[RECORDS[3] | {"start": 0, "end": 3}]) == {"record"}
    assert rules(catalog, typed_by(0, 0), "ten", items=[item] * 4) == {"count"}
