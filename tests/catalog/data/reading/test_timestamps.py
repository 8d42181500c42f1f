"""Moments as text, against the calendar of the standard library."""

from datetime import UTC, datetime, timedelta, timezone

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog.data.reading.timestamps import in_milliseconds, moments, unix_ms

ZONES = st.builds(lambda minutes: timezone(timedelta(minutes=minutes)), st.integers(-23 * 60, 23 * 60))


@given(st.datetimes(datetime(1970, 1, 3), datetime(2200, 1, 1), timezones=ZONES))
def test_a_moment_is_the_same_in_every_zone(moment: datetime) -> None:
    expected = (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)
    assert unix_ms(moment.isoformat()) == unix_ms(moment.astimezone(UTC).isoformat()) == expected


@pytest.mark.parametrize("text", ["2025-11-20", "2025-11-20T12:00:00", "20251120T120000"])
def test_a_time_without_a_zone_is_none(text: str) -> None:
    with pytest.raises(ValueError, match="has no zone: end it with Z"):
        unix_ms(text)


@pytest.mark.parametrize("text", ["", "noon", "1700000000000", "2025-13-01T00:00:00Z", "2025-11-20T12:00:00 PST"])
def test_other_text_is_none_either(text: str) -> None:
    with pytest.raises(ValueError, match="is no ISO 8601 time, such as 2025-11-20T12:00:00Z"):
        unix_ms(text)


NOON = 1_763_640_000_000


@pytest.mark.parametrize(
    ("values", "read"),
    [
        (["2025-11-20T12:00:00", "2025-11-20 12:00:00.000", None], [NOON, NOON, None]),
        (["20251120T120000", "2025-11-20"], [NOON, NOON - 43_200_000]),
        (["2025-11-20 12:00:00 UTC", "2025-11-20T12:00Z"], [NOON, NOON]),
        (["1763640000000", "1.76364e12", "1763640000000.0"], [NOON, NOON, NOON]),
        (["1,76364e12"], [NOON]),
        (["20251120"], [NOON - 43_200_000]),
        ([NOON, "2025-11-20T12:00:00Z"], [NOON, NOON]),
        ([float(NOON), None, True], [NOON, None, True]),
        (["2025-11-20T12:00:00Z[UTC]", "2025-11-20T13:00:00+01:00[Europe/Berlin]"], [NOON, NOON]),
        (["2025-11-20T07:00:00.000-05:00[America/Indiana/Knox]"], [NOON]),
        (["2025-11-20 12:00:00.000000000 +0000 UTC", "2025-11-20 12:00:00 +00:00 UTC"], [NOON, NOON]),
        (["2025/11/20 12:00:00", "2025/11/20"], [NOON, NOON - 43_200_000]),
        (["2025-11-20T07:00:00\u221205:00"], [NOON]),
        (["2025-11-20T12:00:00[UTC]", "2025-11-20T12:00:00Z"], ["2025-11-20T12:00:00[UTC]", NOON]),
    ],
)
def test_times_of_files_are_numbers_or_moments(values, read) -> None:
    assert moments(values, []) == read


@pytest.mark.parametrize(
    ("values", "read"),
    [
        ([NOON / 1000 + 0.25, NOON // 1000, None], [NOON + 250, NOON, None]),
        ([NOON / 1000 + 0.1239], [NOON + 123]),
        ([f"{NOON // 1000}.123", f"{NOON // 1000},5", f"{NOON // 1000}"], [NOON + 123, NOON + 500, NOON]),
        (["1.763640000123e9"], [NOON + 123]),
        ([NOON / 1000 + 0.5] * 9 + [-1.5], [NOON + 500] * 9 + [-1.5]),
    ],
)
def test_seconds_with_a_fraction_are_read_and_told(values, read) -> None:
    notes: list[str] = []
    assert moments(values, notes) == read
    assert "the timestamps are seconds, and were read so" in notes


@pytest.mark.parametrize(
    "values", [[NOON + 0.5], [0.5, 1.5], [NOON / 1000 + 0.5, NOON], [NOON // 1000], [float("inf")], [True, 1.5]]
)
def test_fractions_of_anything_else_stay_as_they_are(values) -> None:
    notes: list[str] = []
    assert moments(values, notes) == values
    assert not notes


def test_times_without_a_zone_are_utc_and_told_where_none_has_one() -> None:
    notes: list[str] = []
    moments(["2025-11-20T12:00:00", "2025-11-20", "noon"], notes)
    assert notes == ["2 times have no zone, and were read as UTC"]


@pytest.mark.parametrize("other", ["2025-11-20T12:00:00Z", "2025-11-20T12:00:00+02:00", NOON])
def test_a_zone_that_some_times_lack_is_not_guessed(other) -> None:
    notes: list[str] = []
    assert moments(["2025-11-20T12:00:00", other], notes)[0] == "2025-11-20T12:00:00"
    assert not notes


@pytest.mark.parametrize(
    ("unit", "time"),
    [
        ("seconds", NOON // 1000),
        ("microseconds", NOON * 1000 + 999),
        ("nanoseconds", NOON * 10**6 + 999_999),
        (None, NOON),
    ],
)
def test_the_unit_of_times_is_told_by_their_size(unit, time) -> None:
    column = pa.chunked_array([pa.array([time, None, time], pa.int64())])
    times, found = in_milliseconds(column)
    assert (found, times.to_pylist()) == (unit, [NOON, None, NOON])


@pytest.mark.parametrize(
    "times", [[0, 1, 2], [86_400_000, NOON], [NOON, NOON * 1000], [-NOON], [2**63 - 1], [], [None]]
)
def test_times_of_no_one_unit_stay_as_they_are(times) -> None:
    column = pa.chunked_array([pa.array(times, pa.int64())])
    assert in_milliseconds(column) == (column, None)
