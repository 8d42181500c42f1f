"""Events files as people really have them, and what is said about the broken ones."""

import datetime
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog.data.events import EventType, read_events, write_events
from catalog.data.tombstones import read_kept_events
from catalog.errors import EventsError

NOON = 1_700_000_000_000


def event(**changes: Any) -> dict[str, Any]:
    return {"user_id": "u", "item_id": "i", "timestamp": NOON, "type": "view"} | changes


@pytest.fixture
def jsonl(tmp_path: Path):
    """Writes its arguments, one a line (dicts as JSON), and returns the path."""

    def write(*rows: Any) -> Path:
        path = tmp_path / "events.jsonl"
        path.write_text("\n".join(row if isinstance(row, str) else json.dumps(row) for row in rows) + "\n")
        return path

    return write


def test_a_full_record_comes_back_as_it_was(jsonl):
    row = event(type="click", query="tent", event_id="e", request_id="r", rating=4.5)
    events, report = read_events(jsonl(row))
    assert events.to_pylist() == [row]
    assert (report.read, report.kept, report.dropped) == (1, 1, 0)


def test_optional_columns_are_null_where_absent(jsonl):
    (row,) = read_events(jsonl(event()))[0].to_pylist()
    assert [row[name] for name in ("query", "event_id", "request_id")] == [None, None, None]


def test_integers_as_identifiers_become_strings(jsonl):
    (row,) = read_events(jsonl(event(user_id=1, item_id=2, event_id=3)))[0].to_pylist()
    assert (row["user_id"], row["item_id"], row["event_id"]) == ("1", "2", "3")


def test_values_are_finite_numbers_or_none(jsonl, tmp_path):
    rows = [event(value=4), event(), event(value=2.5, type="purchase")]
    assert read_events(jsonl(*rows))[0]["value"].to_pylist() == [4.0, None, 2.5]
    pq.write_table(pa.Table.from_pylist([event(value=float("inf")), event(value=1.0)]), tmp_path / "e.parquet")
    events, report = read_events(tmp_path / "e.parquet")
    assert events["value"].to_pylist() == [None, 1.0]
    assert (report.broken, report.notes) == (0, ["1 values that are no finite numbers were read as none"])
    with pytest.raises(EventsError, match="'value' is list<item: int64>, it must be number"):
        read_events(jsonl(event(value=[1])))


def test_files_with_and_without_values_are_read_together(jsonl, tmp_path):
    old, new = tmp_path / "old.parquet", jsonl(event(timestamp=NOON + 1, value=3))
    pq.write_table(pa.Table.from_pylist([event(rating=5.0)]), old)
    events, _ = read_kept_events([old, new], [])
    assert events["value"].to_pylist() == [None, 3.0]
    assert "rating" not in events.column_names
    events, _ = read_kept_events([old, old], [])
    assert "value" not in events.column_names


@given(st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 3)), min_size=1, max_size=30))
def test_events_are_sorted_by_user_and_time_and_ties_keep_their_order(tmp_path_factory, keys):
    rows = [event(user_id=user, timestamp=time, event_id=str(n)) for n, (user, time) in enumerate(keys)]
    path = tmp_path_factory.mktemp("events") / "events.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    expected = sorted(rows, key=lambda row: (row["user_id"], row["timestamp"]))
    assert read_events(path)[0]["event_id"].to_pylist() == [row["event_id"] for row in expected]


@pytest.mark.parametrize(
    ("row", "said"),
    [
        (event(user_id=None), "missing user_id"),
        (event(item_id=""), "missing item_id"),
        (event(timestamp=None), "broken timestamp"),
        (event(timestamp="2024-01-01"), "timestamp that is no whole number"),
        (event(timestamp=1.5), "timestamp that is no whole number"),
        (event(timestamp=True), "timestamp that is no whole number"),
        (event(timestamp=-1), "broken timestamp"),
        (event(timestamp=NOON * 1000), "broken timestamp"),
        (event(type="buy"), "unknown type (known are view, click, cart, purchase, rating, dislike, impression)"),
        (event(type=None), "unknown type"),
        (event(query=5), "query that is no string"),
        (event(event_id="e"), "duplicate event_id"),
        ("nonsense", "line that is not JSON"),
    ],
)
def test_a_broken_event_is_dropped_and_counted_or_refused_when_strict(jsonl, row, said):
    path = jsonl(event(event_id="e"), row)
    events, report = read_events(path)
    assert len(events) == report.kept == 1
    assert said in str(report)
    with pytest.raises(EventsError) as refused:
        read_events(path, strict=True)
    assert said in str(refused.value)
    assert str(path) in str(refused.value)


def test_an_event_id_names_an_event_of_its_user(jsonl):
    rows = [event(user_id=user, event_id="e") for user in ("a", "b", "a")] + [event(user_id="a", event_id=None)] * 2
    events, report = read_events(jsonl(*rows))
    assert events["user_id"].to_pylist() == ["a", "a", "a", "b"]
    assert report.broken == 1


def test_strict_accepts_what_is_sound(jsonl):
    assert len(read_events(jsonl(event(), event()), strict=True)[0]) == 2


def test_the_number_of_the_line_is_told(jsonl):
    _, report = read_events(jsonl(event(), "", event(type="buy")))
    assert "line 3: user_id='u', item_id='i', type='buy'" in str(report)


def test_a_blank_query_is_no_query_and_the_report_says_so(jsonl):
    events, report = read_events(jsonl(event(query="  "), event(query="tent")))
    assert events["query"].to_pylist() == [None, "tent"]
    assert "1 blank queries were read as no query" in str(report)


@pytest.mark.parametrize(
    ("unit", "time"), [("seconds", NOON // 1000), ("microseconds", NOON * 1000), ("nanoseconds", NOON * 10**6)]
)
@pytest.mark.parametrize("form", [int, float, str, lambda time: f"{time}.0"])
def test_another_unit_than_milliseconds_is_read_and_told(jsonl, unit, time, form):
    events, report = read_events(jsonl(event(timestamp=form(time))), strict=True)
    assert events["timestamp"].to_pylist() == [NOON // 1000 * 1000]
    assert f"the timestamps are {unit}, and were read so" in str(report)


@pytest.mark.parametrize("value", [42.0, 9_007_199_254_740_991.0, 42])
def test_ids_that_are_whole_floats_are_whole_numbers(jsonl, value):
    events, _ = read_events(jsonl(event(user_id=value, item_id=value)), strict=True)
    assert events["item_id"].to_pylist() == events["user_id"].to_pylist() == [str(int(value))]


@pytest.mark.parametrize("value", [42.5, 1e300, 2.0**60, True, [1]])
def test_ids_that_nobody_can_be_sure_of_are_faults(jsonl, value):
    events, report = read_events(jsonl(event(item_id=value), event()))
    assert (len(events), report.broken) == (1, 1)


@pytest.mark.parametrize("missing", ["user_id", "item_id", "timestamp", "type"])
def test_a_missing_column_is_named(jsonl, missing):
    row = event()
    del row[missing]
    with pytest.raises(EventsError, match=f"the column '{missing}' is missing"):
        read_events(jsonl(row))


def test_parquet_timestamps_and_whole_floats_become_milliseconds(tmp_path):
    moment = datetime.datetime.fromtimestamp(NOON / 1000, tz=datetime.UTC)
    columns = {"user_id": ["u"], "item_id": ["i"], "type": ["view"]}
    for time in (pa.array([moment], pa.timestamp("us", "UTC")), pa.array([float(NOON)])):
        pq.write_table(pa.table({**columns, "timestamp": time}), tmp_path / "events.parquet")
        assert read_events(tmp_path / "events.parquet")[0]["timestamp"].to_pylist() == [NOON]


def test_iso_8601_text_with_a_zone_becomes_milliseconds(jsonl, tmp_path):
    moment = datetime.datetime.fromtimestamp(NOON / 1000, tz=datetime.timezone(datetime.timedelta(hours=2)))
    texts = [moment.isoformat(), moment.astimezone(datetime.UTC).isoformat().replace("+00:00", "Z")]
    rows = [event(timestamp=text) for text in texts]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "events.parquet")
    for path in (jsonl(*rows, event()), tmp_path / "events.parquet"):
        events, report = read_events(path, strict=True)
        assert set(events["timestamp"].to_pylist()) == {NOON}
        assert report.dropped == 0


@pytest.mark.parametrize("text", [datetime.datetime(2025, 1, 1).isoformat(), "yesterday", ""])
def test_text_that_is_no_moment_is_a_fault_of_its_row(jsonl, tmp_path, text):
    rows = [event(timestamp="2025-11-20T12:00:00Z"), event(timestamp=text)]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "events.parquet")
    for path in (jsonl(*rows), tmp_path / "events.parquet"):
        events, report = read_events(path)
        assert (len(events), report.broken) == (1, 1)
        assert "timestamp" in str(report)


def test_gaps_in_a_column_of_floats_are_faults_of_their_rows(tmp_path):
    times = pa.array([float(NOON), float("nan"), NOON + 0.5])
    table = pa.table({"user_id": ["u"] * 3, "item_id": ["i"] * 3, "type": ["view"] * 3, "timestamp": times})
    pq.write_table(table, tmp_path / "events.parquet")
    events, report = read_events(tmp_path / "events.parquet")
    assert (len(events), report.broken) == (1, 2)
    assert "row 2" in str(report)


@pytest.mark.parametrize("suffix", [".jsonl", ".parquet"])
def test_what_is_written_is_what_is_read(jsonl, tmp_path, suffix):
    events, _ = read_events(jsonl(event(query="tent"), event(user_id="a", type=EventType.PURCHASE, size="L")))
    write_events(events, tmp_path / f"out{suffix}")
    again, report = read_events(tmp_path / f"out{suffix}", strict=True)
    assert again.equals(events)
    assert report.dropped == 0


def test_an_empty_file_has_no_events(tmp_path):
    (tmp_path / "events.jsonl").write_text("")
    events, report = read_events(tmp_path / "events.jsonl")
    assert (len(events), report.read) == (0, 0)


@pytest.mark.parametrize(
    "times",
    [
        pa.array([float(NOON // 1000)]),
        pa.array([NOON // 1000], pa.int32()),
        pa.array([Decimal(NOON)], pa.decimal128(18, 0)),
        pa.array([str(NOON)]),
        pa.array([str(NOON // 1000).encode()]),
        pa.array([datetime.datetime.fromtimestamp(NOON // 1000, datetime.UTC).strftime("%Y-%m-%d %H:%M:%S")]),
        pa.array([f"{NOON // 1000}.0"]),
    ],
    ids=str,
)
def test_times_of_any_usual_type_become_milliseconds(tmp_path, times):
    table = pa.table({"user_id": pa.array([7.0]), "item_id": [b"i"], "type": [b"view"], "timestamp": times})
    pq.write_table(table.append_column("query", pa.nulls(1, pa.float64())), tmp_path / "events.parquet")
    events, _ = read_events(tmp_path / "events.parquet", strict=True)
    row = events.to_pylist()[0]
    assert row["timestamp"] // 1000 == NOON // 1000
    assert (row["user_id"], row["item_id"], row["query"]) == ("7", "i", None)
