"""Moments as text, against the calendar of the standard library."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog.data.timestamps import unix_ms

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
