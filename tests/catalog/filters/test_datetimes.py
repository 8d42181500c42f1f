"""Dates and times as a filter has them."""

from datetime import UTC, datetime, timedelta, timezone
from fractions import Fraction

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog.filters.datetimes import read_datetime, ticks_per_second

zones = st.builds(lambda minutes: timezone(timedelta(minutes=minutes)), st.integers(-1439, 1439))


@given(st.datetimes(datetime(1, 1, 3), datetime(9999, 12, 29), timezones=zones), st.sampled_from("T "))
def test_a_moment_is_its_distance_from_1970_in_utc(moment: datetime, separator: str) -> None:
    seconds = read_datetime(moment.isoformat(separator))
    assert seconds is not None
    assert datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=int(seconds * 10**6)) == moment


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1970-01-02", 86_400),
        ("1970-01-01T01:00", 3600),
        ("1970-01-01T01:00+01:00", 0),
        ("1969-12-31T23:59:59.5Z", Fraction(-1, 2)),
        ("0001-01-01T00:00+23:59", -62_135_596_800 - 86_340),
    ],
)
def test_what_is_not_said_is_midnight_and_utc(text: str, seconds: int | Fraction) -> None:
    assert read_datetime(text) == seconds


@pytest.mark.parametrize("text", ["", "May", "2024", "2024-13-01", "2024-02-30", "1970-01-01T00:00:00.0000001", "\x00"])
def test_other_texts_are_no_moments(text: str) -> None:
    assert read_datetime(text) is None


@pytest.mark.parametrize(
    "kind", [pa.timestamp(unit, zone) for unit in ("s", "ms", "us", "ns") for zone in (None, "UTC")]
)
def test_timestamps_count_as_their_unit_says(kind: pa.DataType) -> None:
    second = pa.scalar(datetime(1970, 1, 1, 0, 0, 1), kind)
    assert second.cast(pa.int64()).as_py() == ticks_per_second(kind)


def test_dates_count_days_or_milliseconds() -> None:
    day = datetime(1970, 1, 2)
    assert pa.scalar(day, pa.date32()).cast(pa.int32()).as_py() == ticks_per_second(pa.date32()) * 86_400
    assert pa.scalar(day, pa.date64()).cast(pa.int64()).as_py() == ticks_per_second(pa.date64()) * 86_400
