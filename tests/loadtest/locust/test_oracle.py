"""The expected catalog and the expected histories: what may hold while a change is under way."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog.data.items import Items
from catalog.filters import parse
from loadtest.locust.oracle.expected_catalog import ExpectedCatalog, Interval, read_records
from loadtest.locust.oracle.expected_history import ExpectedHistories
from loadtest.locust.oracle.filter_cases import FilterCase, draw_filter_cases
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
def catalog(clock: Clock) -> ExpectedCatalog:
    return ExpectedCatalog([{"id": f"i{n}", "price": n, "available": n != 3} for n in range(5)], clock)


def edit_between(
    catalog: ExpectedCatalog, clock: Clock, item_id: str, record: dict | None, begin: float, end: float
) -> None:
    clock.now = begin
    edit = catalog.begin_edit(item_id, record)
    clock.now = end
    catalog.acknowledge(edit)


def test_both_states_may_hold_while_an_edit_is_under_way(catalog: ExpectedCatalog, clock: Clock):
    old, new = catalog.published("i1"), {"id": "i1", "price": 9, "available": True}
    edit_between(catalog, clock, "i1", new, 10, 20)
    assert catalog.states("i1", Interval(1, 2)) == [old]
    assert catalog.states("i1", Interval(1, 15)) == [old, new]
    assert catalog.states("i1", Interval(15, 30)) == [old, new]
    assert catalog.states("i1", Interval(21, 30)) == [new]
    assert catalog.states("never", Interval(1, 2)) == []


def test_an_edit_without_an_answer_may_hold_until_the_next_one_is_acknowledged(catalog: ExpectedCatalog, clock: Clock):
    clock.now = 10
    catalog.begin_edit("i1", None)
    assert catalog.states("i1", Interval(90, 99)) == [catalog.published("i1"), None]
    edit_between(catalog, clock, "i1", {"id": "i1", "price": 9}, 100, 110)
    assert catalog.states("i1", Interval(111, 112)) == [{"id": "i1", "price": 9, "available": True}]


def test_a_new_item_is_null_where_it_says_nothing(catalog: ExpectedCatalog, clock: Clock):
    edit_between(catalog, clock, "new", {"id": "new"}, 10, 20)
    assert catalog.states("new", Interval(1, 2)) == [None]
    assert catalog.states("new", Interval(21, 22)) == [{"id": "new", "price": None, "available": True}]


def test_bounds_count_what_surely_and_what_possibly_is_there(catalog: ExpectedCatalog, clock: Clock):
    def bounds(**options) -> tuple[int, int]:
        given = {"filter_case": None, "excluded": set(), "possibly_excluded": set()} | options
        return catalog.count_bounds(Interval(15, 16), **given)

    cheap = FilterCase("price < 2", lambda record: record["price"] < 2)
    assert bounds() == (4, 4)
    assert bounds(filter_case=cheap) == (2, 2)
    assert bounds(excluded={"i0"}, possibly_excluded={"i1", "i0"}) == (2, 3)
    assert bounds(candidates=["i0", "i3", "never"]) == (1, 1)
    edit_between(catalog, clock, "i0", None, 10, 20)
    assert bounds() == (3, 4)
    assert bounds(filter_case=cheap) == (1, 2)
    assert bounds(filter_case=cheap, candidates=["i0"]) == (0, 1)
    assert bounds(filter_case=cheap, excluded={"i0"}) == (1, 1)


def test_filter_cases_mean_what_the_filters_mean(tmp_path):
    """The oracle of the suite beside the server's own language, on every filter that a run may draw."""
    import numpy as np
    import pyarrow.parquet as pq

    pq.write_table(make_items().table, tmp_path / "items.parquet")
    records = read_records(tmp_path / "items.parquet")
    assert [n for n, record in enumerate(records) if not record["available"]] == sorted(UNAVAILABLE)
    cases = draw_filter_cases(records, np.random.default_rng(0))
    assert len(cases) > 10
    items = Items(make_items().table)
    for case in cases:
        mask = parse(case.text).mask(items).tolist()
        assert [case.matches(record) for record in records] == mask, case.text


def test_expected_histories_know_what_must_be_there_and_what_may(clock: Clock):
    histories = ExpectedHistories(history_length=2, clock=clock)
    events = [histories.send("ann", f"i{n}", "click") for n in range(3)]
    clock.now = 10
    for event in events:
        histories.acknowledge(event)
    assert histories.certain("ann", 9) == []
    assert histories.certain("ann", 10) == events[1:]  # the history is full
    assert histories.possible("ann") == events
    late = histories.send("ann", "i9", "click")
    assert histories.certain("ann", 11) == events[2:]  # it may have pushed the other one out
    assert histories.possible("ann")[-1] is late


def test_a_merge_moves_what_a_session_did(clock: Clock):
    histories = ExpectedHistories(clock=clock)
    done, pending = histories.send("visit", "i1", "click"), histories.send("visit", "i2", "click")
    histories.acknowledge(done)
    due = histories.begin_merge("ann", "visit")
    assert [event.event_id for event in due] == [done.event_id]
    assert histories.certain("ann", 1) == histories.certain("visit", 1) == []
    assert {event.event_id for event in histories.possible("ann")} == {done.event_id, pending.event_id}
    histories.end_merge("visit", due)
    assert [event.event_id for event in histories.certain("ann", 1)] == [done.event_id]
    assert histories.possible("visit") == []


def test_after_an_erasure_nothing_is_there(clock: Clock):
    histories = ExpectedHistories(clock=clock)
    histories.acknowledge(histories.send("ann", "i1", "click"))
    histories.begin_erasure("ann")
    assert histories.certain("ann", 1) == []
    assert len(histories.possible("ann")) == 1
    histories.end_erasure("ann")
    assert histories.possible("ann") == []


@given(st.lists(st.floats(1_600_000_000, 1_700_000_000), min_size=1))
def test_no_two_events_share_a_time_or_an_id(times: list[float]):
    moments = iter(times)
    histories = ExpectedHistories(wall_clock=lambda: next(moments))
    events = [histories.send("ann", "i1", "click") for _ in times]
    assert [event.timestamp for event in events] == sorted({event.timestamp for event in events})
    assert len({event.event_id for event in events}) == len(events)
