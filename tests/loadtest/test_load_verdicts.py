"""Every rule that an answer is held to, broken on purpose; and what must not be taken for a mistake."""

from dataclasses import replace

import pytest

from loadtest.locust.asked import Asked
from loadtest.locust.conditions import Condition
from loadtest.locust.ledger import Ledger
from loadtest.locust.stock import Interval, Stock
from loadtest.locust.verdicts import judge_answer, judge_history, judge_item, judge_receipt

CHEAP = Condition("price < 3", lambda record: record["price"] < 3)
NOW = Interval(10.0, 11.0)


def record(number: int, **changes: object) -> dict:
    return {"id": f"i{number}", "title": f"Item {number}", "price": float(number), "available": True} | changes


@pytest.fixture
def stock() -> Stock:
    return Stock([record(number) for number in range(6)], clock=lambda: 5.0)


@pytest.fixture
def ledger() -> Ledger:
    return Ledger(clock=lambda: 5.0)


def answer(asked: Asked, *numbers: int, code: str | None = None, **changes: object) -> dict:
    """A true one, if these are items that may be shown."""
    codes = {"search": "query", "recommend": "general", "similar": "similar"}
    items = [
        record(number) | {"score": -float(place), "reason": {"code": code or codes[asked.kind], "item": None}}
        for place, number in enumerate(numbers)
    ]
    cursor = "next" if len(items) == asked.k else None
    return {"items": items, "next_cursor": cursor, "degraded": False} | changes


def rules(asked: Asked, body: dict, stock: Stock, ledger: Ledger) -> set[str]:
    return {fault.rule for fault in judge_answer(asked, body, NOW, stock, ledger)}


SEARCH = Asked(kind="search", query="item", k=3)


def test_a_true_answer_has_no_fault(stock: Stock, ledger: Ledger):
    assert rules(SEARCH, answer(SEARCH, 4, 0, 2), stock, ledger) == set()


@pytest.mark.parametrize(
    ("asked", "numbers", "rule"),
    [
        (SEARCH, (1, 1, 2), "distinct"),
        (SEARCH, (1, 2), "count"),
        (SEARCH, (1, 2, 77), "unknown item"),
        (replace(SEARCH, condition=CHEAP), (0, 1, 4), "filter"),
        (replace(SEARCH, condition=CHEAP), (0, 1), "count"),
        (replace(SEARCH, shown=("i1",), cursor="c"), (1, 2, 3), "page"),
        (replace(SEARCH, candidates=("i1", "i2")), (1, 3), "candidates"),
        (Asked(kind="similar", about="i1", k=3), (0, 1, 2), "seen"),
        (Asked(kind="recommend", past=("i1",), k=3, exclude_seen=True), (0, 1, 2), "seen"),
    ],
)
def test_a_wrong_list_is_told(stock: Stock, ledger: Ledger, asked: Asked, numbers: tuple[int, ...], rule: str):
    assert rule in rules(asked, answer(asked, *numbers), stock, ledger)


def test_scores_that_rise_are_told(stock: Stock, ledger: Ledger):
    body = answer(SEARCH, 1, 2, 3)
    body["items"][2]["score"] = 5.0
    assert rules(SEARCH, body, stock, ledger) == {"order"}


def test_a_column_that_differs_is_told(stock: Stock, ledger: Ledger):
    body = answer(SEARCH, 1, 2, 3)
    body["items"][0]["price"] = 0.5
    assert rules(SEARCH, body, stock, ledger) == {"record"}


def test_only_the_wanted_columns_may_come(stock: Stock, ledger: Ledger):
    asked = replace(SEARCH, fields=("title",))
    body = answer(asked, 1, 2, 3)
    assert rules(asked, body, stock, ledger) == {"record"}
    for item in body["items"]:
        del item["price"], item["available"]
    assert rules(asked, body, stock, ledger) == set()


@pytest.mark.parametrize(("cursor", "numbers"), [(None, (1, 2, 3)), ("next", (1, 2))])
def test_a_cursor_comes_if_and_only_if_the_page_is_full(
    stock: Stock, ledger: Ledger, cursor: str | None, numbers: tuple[int, ...]
):
    body = answer(SEARCH, *numbers) | {"next_cursor": cursor}
    assert "cursor" in rules(SEARCH, body, stock, ledger)


def test_what_was_seen_may_not_come_back(stock: Stock, ledger: Ledger):
    asked = Asked(kind="recommend", user="ann", k=3, exclude_seen=True)
    ledger.acknowledge(ledger.send("ann", "i1", "click"))
    assert rules(asked, answer(asked, 1, 2, 3, code="history"), stock, ledger) == {"seen"}
    assert rules(asked, answer(asked, 0, 2, 3, code="history"), stock, ledger) == set()


def test_an_event_under_way_may_be_seen_or_not(stock: Stock, ledger: Ledger):
    asked = Asked(kind="recommend", user="ann", k=6, exclude_seen=True)
    ledger.send("ann", "i1", "click")
    assert rules(asked, answer(asked, 0, 1, 2, 3, 4, 5), stock, ledger) == set()
    assert rules(asked, answer(asked, 0, 2, 3, 4, 5), stock, ledger) == set()
    assert rules(asked, answer(asked, 0, 2, 3, 4), stock, ledger) == {"count"}


def test_a_degraded_answer_need_not_know_the_history(stock: Stock, ledger: Ledger):
    asked = Asked(kind="recommend", user="ann", k=3, exclude_seen=True)
    ledger.acknowledge(ledger.send("ann", "i1", "click"))
    assert rules(asked, answer(asked, 1, 2, 3, degraded=True), stock, ledger) == set()
    assert rules(SEARCH, answer(SEARCH, 1, 2, 3, degraded=True), stock, ledger) == {"degraded"}


def test_a_reason_from_somebody_elses_history_is_told(stock: Stock, ledger: Ledger):
    asked = Asked(kind="recommend", user="ann", k=3)
    ledger.acknowledge(ledger.send("bob", "i5", "click"))
    body = answer(asked, 1, 2, 3)
    body["items"][0]["reason"] = {"code": "history", "item": "i5"}
    assert rules(asked, body, stock, ledger) == {"reason", "strange history"}
    ledger.acknowledge(ledger.send("ann", "i5", "click"))
    assert rules(asked, body, stock, ledger) == set()


def test_an_explanation_must_add_up(stock: Stock, ledger: Ledger):
    asked = replace(SEARCH, explain=True)
    body = answer(asked, 0, 1, 2)
    for item in body["items"]:
        item["explanation"] = {"levels": [{"probability": 0.5}, {"probability": 0.5}]}
    assert rules(asked, body, stock, ledger) == {"explanation"}


def test_a_deleted_item_may_not_be_shown_once_that_is_acknowledged(stock: Stock, ledger: Ledger):
    edit = stock.begin("i1", None)
    assert rules(SEARCH, answer(SEARCH, 1, 2, 3), stock, ledger) == set()
    stock.acknowledge(edit)
    assert rules(SEARCH, answer(SEARCH, 1, 2, 3), stock, ledger) == {"gone item"}


def test_an_item_is_what_it_was_written_as(stock: Stock):
    assert judge_item("i1", 200, record(1), NOW, stock) == []
    assert judge_item("i1", 200, record(1, price=9.0), NOW, stock)[0].rule == "record"
    assert judge_item("i1", 404, {}, NOW, stock)[0].rule == "missing"
    stock.acknowledge(stock.begin("i1", None))
    assert judge_item("i1", 404, {}, NOW, stock) == []
    assert judge_item("i1", 200, record(1), NOW, stock)[0].rule == "record"


def event_of(entry) -> dict:
    return {
        "item_id": entry.item_id,
        "query": entry.query,
        "type": entry.kind,
        "timestamp": entry.timestamp,
        "event_id": entry.event_id,
        "title": None,
    }


def test_a_history_is_what_its_user_did(ledger: Ledger):
    entries = [ledger.send("ann", f"i{n}", "click", "item") for n in range(3)]
    for entry in entries[:2]:
        ledger.acknowledge(entry)
    other = ledger.send("bob", "i5", "click")

    def told(*shown, limit: int = 50) -> set[str]:
        body = {"events": [event_of(entry) for entry in shown], "total": len(shown)}
        return {fault.rule for fault in judge_history("ann", limit, body, 10.0, ledger)}

    assert told(entries[1], entries[0]) == set()
    assert told(*reversed(entries)) == set()
    assert told(entries[1], limit=1) == set()
    assert told(entries[0], limit=1) == {"lost event"}
    assert told(entries[0]) == {"lost event"}
    assert told(entries[0], entries[1]) == {"order"}
    assert told(entries[1], entries[1], entries[0]) == {"distinct"}
    assert told(other, entries[1], entries[0]) == {"strange history"}
    assert told(replace(entries[1], item_id="i4"), entries[0]) == {"event"}


def test_a_receipt_says_whether_an_event_was_there_before(ledger: Ledger):
    entry = ledger.send("ann", "i1", "click")
    body = {"accepted": [{"index": 0, "event_id": entry.event_id, "duplicate": False}], "rejected": []}
    assert judge_receipt([entry], set(), body) == []
    assert judge_receipt([entry], {entry.event_id}, body)[0].rule == "receipt"
    assert judge_receipt([entry], set(), body | {"rejected": [{"index": 0}]})[0].rule == "rejected"
