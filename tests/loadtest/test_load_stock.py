"""The stock and the ledger: what may hold while something is under way."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog.data.items import Items
from catalog.filters import parse
from loadtest.locust.conditions import Condition, draw_conditions
from loadtest.locust.ledger import Ledger
from loadtest.locust.stock import Interval, Stock, read_records
from tests.support.small_shop import UNAVAILABLE, make_items


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def stock(clock: Clock) -> Stock:
    return Stock([{"id": f"i{n}", "price": n, "available": n != 3} for n in range(5)], clock)


def edit_between(stock: Stock, clock: Clock, item_id: str, record: dict | None, begin: float, end: float) -> None:
    clock.now = begin
    edit = stock.begin(item_id, record)
    clock.now = end
    stock.acknowledge(edit)


def test_both_states_may_hold_while_an_edit_is_under_way(stock: Stock, clock: Clock):
    old, new = stock.published("i1"), {"id": "i1", "price": 9, "available": True}
    edit_between(stock, clock, "i1", new, 10, 20)
    assert stock.states("i1", Interval(1, 2)) == [old]
    assert stock.states("i1", Interval(1, 15)) == [old, new]
    assert stock.states("i1", Interval(15, 30)) == [old, new]
    assert stock.states("i1", Interval(21, 30)) == [new]
    assert stock.states("never", Interval(1, 2)) == []


def test_an_edit_without_an_answer_may_hold_until_the_next_one_is_acknowledged(stock: Stock, clock: Clock):
    clock.now = 10
    stock.begin("i1", None)
    assert stock.states("i1", Interval(90, 99)) == [stock.published("i1"), None]
    edit_between(stock, clock, "i1", {"id": "i1", "price": 9}, 100, 110)
    assert stock.states("i1", Interval(111, 112)) == [{"id": "i1", "price": 9, "available": True}]


def test_a_new_item_is_null_where_it_says_nothing(stock: Stock, clock: Clock):
    edit_between(stock, clock, "new", {"id": "new"}, 10, 20)
    assert stock.states("new", Interval(1, 2)) == [None]
    assert stock.states("new", Interval(21, 22)) == [{"id": "new", "price": None, "available": True}]


def test_bounds_count_what_surely_and_what_possibly_is_there(stock: Stock, clock: Clock):
    def bounds(**options) -> tuple[int, int]:
        given = {"condition": None, "surely_out": set(), "maybe_out": set()} | options
        return stock.bounds(Interval(15, 16), **given)

    cheap = Condition("price < 2", lambda record: record["price"] < 2)
    assert bounds() == (4, 4)
    assert bounds(condition=cheap) == (2, 2)
    assert bounds(surely_out={"i0"}, maybe_out={"i1", "i0"}) == (2, 3)
    assert bounds(among=["i0", "i3", "never"]) == (1, 1)
    edit_between(stock, clock, "i0", None, 10, 20)
    assert bounds() == (3, 4)
    assert bounds(condition=cheap) == (1, 2)
    assert bounds(condition=cheap, among=["i0"]) == (0, 1)
    assert bounds(condition=cheap, surely_out={"i0"}) == (1, 1)


def test_conditions_mean_what_the_filters_mean(tmp_path):
    """The oracle of the suite beside the server's own language, on every condition that a run may draw."""
    import numpy as np
    import pyarrow.parquet as pq

    pq.write_table(make_items().table, tmp_path / "items.parquet")
    records = read_records(tmp_path / "items.parquet")
    assert [n for n, record in enumerate(records) if not record["available"]] == sorted(UNAVAILABLE)
    conditions = draw_conditions(records, np.random.default_rng(0))
    assert len(conditions) > 10
    items = Items(make_items().table)
    for condition in conditions:
        mask = parse(condition.text).mask(items).tolist()
        assert [condition.holds(record) for record in records] == mask, condition.text


def test_the_ledger_knows_what_must_be_there_and_what_may(clock: Clock):
    ledger = Ledger(history_length=2, clock=clock)
    entries = [ledger.send("ann", f"i{n}", "click") for n in range(3)]
    clock.now = 10
    for entry in entries:
        ledger.acknowledge(entry)
    assert ledger.certain("ann", 9) == []
    assert ledger.certain("ann", 10) == entries[1:]  # the history is full
    assert ledger.possible("ann") == entries
    late = ledger.send("ann", "i9", "click")
    assert ledger.certain("ann", 11) == entries[2:]  # it may have pushed the other one out
    assert ledger.possible("ann")[-1] is late


def test_a_merge_moves_what_a_session_did(clock: Clock):
    ledger = Ledger(clock=clock)
    done, pending = ledger.send("visit", "i1", "click"), ledger.send("visit", "i2", "click")
    ledger.acknowledge(done)
    due = ledger.begin_merge("ann", "visit")
    assert [entry.event_id for entry in due] == [done.event_id]
    assert ledger.certain("ann", 1) == ledger.certain("visit", 1) == []
    assert {entry.event_id for entry in ledger.possible("ann")} == {done.event_id, pending.event_id}
    ledger.end_merge("visit", due)
    assert [entry.event_id for entry in ledger.certain("ann", 1)] == [done.event_id]
    assert ledger.possible("visit") == []


def test_after_an_erasure_nothing_is_there(clock: Clock):
    ledger = Ledger(clock=clock)
    ledger.acknowledge(ledger.send("ann", "i1", "click"))
    ledger.begin_erasure("ann")
    assert ledger.certain("ann", 1) == []
    assert len(ledger.possible("ann")) == 1
    ledger.end_erasure("ann")
    assert ledger.possible("ann") == []


@given(st.lists(st.floats(1_600_000_000, 1_700_000_000), min_size=1))
def test_no_two_events_share_a_time_or_an_id(times: list[float]):
    moments = iter(times)
    ledger = Ledger(wall_clock=lambda: next(moments))
    entries = [ledger.send("ann", "i1", "click") for _ in times]
    assert [entry.timestamp for entry in entries] == sorted({entry.timestamp for entry in entries})
    assert len({entry.event_id for entry in entries}) == len(entries)
