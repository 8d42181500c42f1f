"""Every rule that an answer is held to, broken on purpose; and what must not be taken for a mistake."""

import math
from dataclasses import replace
from typing import cast

import pytest

from catalog.bundle.bundle import Bundle
from loadtest.locust.oracle.checks import check_answer, check_history, check_item, check_receipt
from loadtest.locust.oracle.expected_catalog import ExpectedCatalog, Interval
from loadtest.locust.oracle.expected_history import ExpectedHistories
from loadtest.locust.oracle.expected_prior import ExpectedPrior
from loadtest.locust.oracle.filter_cases import FilterCase
from loadtest.locust.oracle.query import Query
from tests.support.small_shop import NAMES, ShopBundle

CHEAP = FilterCase("price < 3", lambda record: record["price"] < 3)
NOW = Interval(10.0, 11.0)


def record(number: int, **changes: object) -> dict:
    return {"id": f"i{number}", "title": f"Item {number}", "price": float(number), "available": True} | changes


@pytest.fixture
def catalog() -> ExpectedCatalog:
    return ExpectedCatalog([record(number) for number in range(6)], clock=lambda: 5.0)


@pytest.fixture
def histories() -> ExpectedHistories:
    return ExpectedHistories(clock=lambda: 5.0)


def answer(query: Query, *numbers: int, code: str | None = None, **changes: object) -> dict:
    """A true one, if these are items that may be shown."""
    codes = {"search": "query", "recommend": "general", "similar": "similar"}
    items = [
        record(number)
        | {"score": -float(place), "relevance": 0.5 - place / 10}
        | {"reason": {"code": code or codes[query.kind], "item": None}}
        for place, number in enumerate(numbers)
    ]
    cursor = "next" if len(items) == query.k else None
    return {"items": items, "next_cursor": cursor, "degraded": False} | changes


def rules(query: Query, body: dict, catalog: ExpectedCatalog, histories: ExpectedHistories) -> set[str]:
    return {fault.rule for fault in check_answer(query, body, NOW, catalog, histories)}


SEARCH = Query(kind="search", q="item", k=3)


def test_a_true_answer_has_no_fault(catalog: ExpectedCatalog, histories: ExpectedHistories):
    assert rules(SEARCH, answer(SEARCH, 4, 0, 2), catalog, histories) == set()


@pytest.mark.parametrize(
    ("query", "numbers", "rule"),
    [
        (SEARCH, (1, 1, 2), "distinct"),
        (SEARCH, (1, 2), "count"),
        (SEARCH, (1, 2, 77), "unknown item"),
        (replace(SEARCH, filter=CHEAP), (0, 1, 4), "filter"),
        (replace(SEARCH, filter=CHEAP), (0, 1), "count"),
        (replace(SEARCH, shown=("i1",), cursor="c"), (1, 2, 3), "page"),
        (replace(SEARCH, candidates=("i1", "i2")), (1, 3), "candidates"),
        (Query(kind="similar", item="i1", k=3), (0, 1, 2), "seen"),
        (Query(kind="recommend", history=("i1",), k=3, exclude_seen=True), (0, 1, 2), "seen"),
    ],
)
def test_a_wrong_list_is_told(
    catalog: ExpectedCatalog, histories: ExpectedHistories, query: Query, numbers: tuple[int, ...], rule: str
):
    assert rule in rules(query, answer(query, *numbers), catalog, histories)


def test_scores_that_rise_are_told(catalog: ExpectedCatalog, histories: ExpectedHistories):
    body = answer(SEARCH, 1, 2, 3)
    body["items"][2]["score"] = 5.0
    assert rules(SEARCH, body, catalog, histories) == {"order"}


@pytest.mark.parametrize("relevances", [(0.4, 0.3, 0.35), (1.1, 0.3, 0.2), (0.5, 0.3, -0.1), (math.nan, 0.3, 0.2)])
def test_relevance_lies_in_0_to_1_and_falls_with_the_score(
    catalog: ExpectedCatalog, histories: ExpectedHistories, relevances: tuple[float, ...]
):
    body = answer(SEARCH, 1, 2, 3)
    for item, relevance in zip(body["items"], relevances, strict=True):
        item["relevance"] = relevance
    assert rules(SEARCH, body, catalog, histories) == {"relevance"}


def test_a_column_that_differs_is_told(catalog: ExpectedCatalog, histories: ExpectedHistories):
    body = answer(SEARCH, 1, 2, 3)
    body["items"][0]["price"] = 0.5
    assert rules(SEARCH, body, catalog, histories) == {"record"}


def test_only_the_wanted_columns_may_come(catalog: ExpectedCatalog, histories: ExpectedHistories):
    query = replace(SEARCH, fields=("title",))
    body = answer(query, 1, 2, 3)
    assert rules(query, body, catalog, histories) == {"record"}
    for item in body["items"]:
        del item["price"], item["available"]
    assert rules(query, body, catalog, histories) == set()


@pytest.mark.parametrize(("cursor", "numbers"), [(None, (1, 2, 3)), ("next", (1, 2))])
def test_a_cursor_comes_if_and_only_if_the_page_is_full(
    catalog: ExpectedCatalog, histories: ExpectedHistories, cursor: str | None, numbers: tuple[int, ...]
):
    body = answer(SEARCH, *numbers) | {"next_cursor": cursor}
    assert "cursor" in rules(SEARCH, body, catalog, histories)


def test_what_was_seen_may_not_come_back(catalog: ExpectedCatalog, histories: ExpectedHistories):
    query = Query(kind="recommend", user="ann", k=3, exclude_seen=True)
    histories.acknowledge(histories.send("ann", "i1", "click"))
    assert rules(query, answer(query, 1, 2, 3, code="history"), catalog, histories) == {"seen"}
    assert rules(query, answer(query, 0, 2, 3, code="history"), catalog, histories) == set()


def test_what_is_left_out_by_type_and_what_is_disliked_is_known(catalog: ExpectedCatalog, histories: ExpectedHistories):
    query = Query(kind="recommend", user="ann", k=3, exclude_seen=("purchase", "cart"))
    assert query.parameters()["exclude_seen"] == "purchase,cart"
    histories.acknowledge(histories.send("ann", "i1", "click"))
    assert rules(query, answer(query, 1, 2, 3, code="history"), catalog, histories) == set()
    histories.acknowledge(histories.send("ann", "i1", "cart"))
    histories.acknowledge(histories.send("ann", "i2", "dislike"))
    assert rules(query, answer(query, 1, 3, 4, code="history"), catalog, histories) == {"seen"}
    assert rules(query, answer(query, 2, 3, 4, code="history"), catalog, histories) == {"seen"}
    assert rules(query, answer(query, 0, 3, 4, code="history"), catalog, histories) == set()
    histories.acknowledge(histories.send("ann", "i2", "view"))
    assert rules(query, answer(query, 2, 3, 4, code="history"), catalog, histories) == set()


def test_an_event_under_way_may_be_seen_or_not(catalog: ExpectedCatalog, histories: ExpectedHistories):
    query = Query(kind="recommend", user="ann", k=6, exclude_seen=True)
    histories.send("ann", "i1", "click")
    assert rules(query, answer(query, 0, 1, 2, 3, 4, 5), catalog, histories) == set()
    assert rules(query, answer(query, 0, 2, 3, 4, 5), catalog, histories) == set()
    assert rules(query, answer(query, 0, 2, 3, 4), catalog, histories) == {"count"}


def test_a_degraded_answer_need_not_know_the_history(catalog: ExpectedCatalog, histories: ExpectedHistories):
    query = Query(kind="recommend", user="ann", k=3, exclude_seen=True)
    histories.acknowledge(histories.send("ann", "i1", "click"))
    assert rules(query, answer(query, 1, 2, 3, degraded=True), catalog, histories) == set()
    assert rules(SEARCH, answer(SEARCH, 1, 2, 3, degraded=True), catalog, histories) == {"degraded"}


def test_a_reason_from_somebody_elses_history_is_told(catalog: ExpectedCatalog, histories: ExpectedHistories):
    query = Query(kind="recommend", user="ann", k=3)
    histories.acknowledge(histories.send("bob", "i5", "click"))
    body = answer(query, 1, 2, 3)
    body["items"][0]["reason"] = {"code": "history", "item": "i5"}
    assert rules(query, body, catalog, histories) == {"reason", "strange history"}
    histories.acknowledge(histories.send("ann", "i5", "click"))
    assert rules(query, body, catalog, histories) == set()


def test_an_explanation_must_add_up(catalog: ExpectedCatalog, histories: ExpectedHistories):
    query = replace(SEARCH, explain=True)
    body = answer(query, 0, 1, 2)
    for item in body["items"]:
        item["explanation"] = {"levels": [{"probability": 0.5}, {"probability": 0.5}]}
    assert rules(query, body, catalog, histories) == {"explanation"}


def explained(query: Query, guide: ExpectedPrior | None, **changes: object) -> dict:
    """A true answer of the best two items of four, each as likely as another, by what guides it."""
    levels, logp = [{"probability": 0.5}, {"probability": 0.25}], math.log(0.125)
    ids = [f"item-{number}" for number in range(20, 24)]
    score = {item: logp if guide is None else guide.score("search", query.q, (), item, logp) for item in ids}
    best = sorted(ids, key=lambda item: -score[item])[:2]
    items = [
        {"id": item, "available": True, "score": score[item], "relevance": 0.2, "explanation": {"levels": levels}}
        | {"reason": {"code": "query", "item": None}}
        for item in best
    ]
    return {"items": items, "next_cursor": "next", "degraded": False} | changes


def test_a_guided_score_is_worked_out_from_the_bundle(histories: ExpectedHistories):
    guide = ExpectedPrior(cast(Bundle, ShopBundle()))
    catalog = ExpectedCatalog([{"id": name, "available": True} for name in NAMES])
    query = Query(kind="search", q="title 22", k=2, explain=True)
    plain, own = explained(query, None), explained(query, guide)
    assert own["items"][0]["id"] == "item-22"

    def faults(query: Query, body: dict, prior: ExpectedPrior | None) -> set[str]:
        return {fault.rule for fault in check_answer(query, body, NOW, catalog, histories, prior)}

    assert faults(query, own, guide) == faults(query, plain, None) == set()
    assert faults(query, plain, guide) == faults(query, own, None) == {"explanation"}
    assert faults(query, plain | {"degraded": True}, guide) == set()
    unguided = replace(query, guidance=False)
    assert faults(unguided, plain, guide) == set()
    assert faults(unguided, own, guide) == {"explanation"}
    assert faults(unguided, plain | {"degraded": True}, guide) == {"degraded"}


@pytest.mark.parametrize("by", ["event", "edit"])
def test_what_guides_a_search_cannot_be_told_any_more_once_anything_changes(histories: ExpectedHistories, by: str):
    guide = ExpectedPrior(cast(Bundle, ShopBundle()))
    catalog = ExpectedCatalog([{"id": name, "available": True} for name in NAMES])
    query = Query(kind="search", q="title 22", k=2, explain=True)
    assert {fault.rule for fault in check_answer(query, explained(query, None), NOW, catalog, histories, guide)} == {
        "explanation"
    }
    if by == "event":
        histories.send("ann", "item-20", "click")
    else:
        catalog.begin_edit("item-7", None)
    assert check_answer(query, explained(query, None), NOW, catalog, histories, guide) == []


def test_a_deleted_item_may_not_be_shown_once_acknowledged(catalog: ExpectedCatalog, histories: ExpectedHistories):
    edit = catalog.begin_edit("i1", None)
    assert rules(SEARCH, answer(SEARCH, 1, 2, 3), catalog, histories) == set()
    catalog.acknowledge(edit)
    assert rules(SEARCH, answer(SEARCH, 1, 2, 3), catalog, histories) == {"gone item"}


def test_an_item_is_what_it_was_written_as(catalog: ExpectedCatalog):
    assert check_item("i1", 200, record(1), NOW, catalog) == []
    assert check_item("i1", 200, record(1, price=9.0), NOW, catalog)[0].rule == "record"
    assert check_item("i1", 404, {}, NOW, catalog)[0].rule == "missing"
    catalog.acknowledge(catalog.begin_edit("i1", None))
    assert check_item("i1", 404, {}, NOW, catalog) == []
    assert check_item("i1", 200, record(1), NOW, catalog)[0].rule == "record"


def event_of(event) -> dict:
    return {
        "item_id": event.item_id,
        "query": event.query,
        "type": event.kind,
        "timestamp": event.timestamp,
        "event_id": event.event_id,
        "title": None,
    }


def test_a_history_is_what_its_user_did(histories: ExpectedHistories):
    events = [histories.send("ann", f"i{n}", "click", "item") for n in range(3)]
    for event in events[:2]:
        histories.acknowledge(event)
    other = histories.send("bob", "i5", "click")

    def told(*shown, limit: int = 50) -> set[str]:
        body = {"events": [event_of(event) for event in shown], "total": len(shown)}
        return {fault.rule for fault in check_history("ann", limit, body, 10.0, histories)}

    assert told(events[1], events[0]) == set()
    assert told(*reversed(events)) == set()
    assert told(events[1], limit=1) == set()
    assert told(events[0], limit=1) == {"lost event"}
    assert told(events[0]) == {"lost event"}
    assert told(events[0], events[1]) == {"order"}
    assert told(events[1], events[1], events[0]) == {"distinct"}
    assert told(other, events[1], events[0]) == {"strange history"}
    assert told(replace(events[1], item_id="i4"), events[0]) == {"event"}


def test_a_receipt_says_whether_an_event_was_there_before(histories: ExpectedHistories):
    event = histories.send("ann", "i1", "click")
    body = {"accepted": [{"index": 0, "event_id": event.event_id, "duplicate": False}], "rejected": []}
    assert check_receipt([event], set(), body) == []
    assert check_receipt([event], {event.event_id}, body)[0].rule == "receipt"
    assert check_receipt([event], set(), body | {"rejected": [{"index": 0}]})[0].rule == "rejected"


@pytest.mark.parametrize(
    ("field", "index", "start", "end", "wrong"),
    [
        ("title", None, 0, 4, False),
        ("title", None, 0, 5_000, True),
        ("title", None, 4, 4, True),
        ("brand", None, 0, 1, False),
        ("id", None, 0, 2, False),
    ],
)
def test_a_matched_word_must_stand_where_it_is_said_to(
    catalog: ExpectedCatalog,
    histories: ExpectedHistories,
    field: str,
    index: int | None,
    start: int,
    end: int,
    wrong: bool,
) -> None:
    """In a text that is shown; the brand is not."""
    body = answer(SEARCH, 0, 1, 2)
    body["items"][0] |= {"title": "item"}
    body["items"][0]["matched"] = [{"word": "w", "field": field, "index": index, "start": start, "end": end}]
    assert ("matched" in rules(SEARCH, body, catalog, histories)) == wrong


def test_shares_must_add_up(catalog: ExpectedCatalog, histories: ExpectedHistories):
    query = replace(SEARCH, explain=True)
    for wrong in (0.0, 0.1):
        body = answer(query, 0, 1, 2)
        for item in body["items"]:
            shares = {"model": item["score"] - 1, "words": 1 + wrong}
            item["explanation"] = {"levels": [{"probability": math.exp(item["score"])}], "shares": shares}
        assert rules(query, body, catalog, histories) == ({"shares"} if wrong else set())
