"""Moments as Unix milliseconds, read from ISO 8601 text too."""

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

__all__ = ["in_milliseconds", "moments", "of_seconds", "unix_ms"]

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MILLISECOND = timedelta(milliseconds=1)


NUMBER = re.compile(r"[+-]?(?!\d{8}$)\d{1,19}(?:[.,]\d*)?(?:[eE][+-]?\d{1,2})?")
"""A number of seconds, milliseconds or the like. One of eight digits is a day."""
NAMED_UTC = re.compile(r"(?:\s*[+-]00:?00)?\s*(?:UTC|GMT)$", re.IGNORECASE)
"""Go writes `+0000 UTC`."""
ZONE_NAME = re.compile(r"(?<=[\dZz])\[[\w/+-]{1,40}\]$")
"""Java and RFC 9557 write `Z[UTC]` and `+01:00[Europe/Berlin]`. The offset before it says all that a moment needs."""
YEAR_FIRST = re.compile(r"^(\d{4})/(\d{2})/(\d{2})")
MINUS = "\u2212"
YEAR_1980, YEAR_2100 = 315_532_800, 4_102_444_800
UNITS = {"seconds": (1, 1000, 1), "microseconds": (10**6, 1, 10**3), "nanoseconds": (10**9, 1, 10**6)}
"""Units other than milliseconds: how many are a second, and what a number of them is multiplied and divided by."""
IN_UNIT = 0.9
"""Share of the times of a column, at least, that are plausible in a unit if it is theirs."""


def moments(values: Sequence[Any], notes: list[str]) -> list[Any]:
    """Times of a file: text that is a number or a moment as a number, anything else as it is.

    Times without a zone are UTC where all of the column is such text, as Parquet's are. A zone that only some lack was
    forgotten there, and nobody can tell which it is.
    notes: gets a remark where times without a zone are read.
    """
    texts = [value for value in values if type(value) is str]
    if not texts:
        return of_seconds(values, notes)
    naive = all(value is None or (type(value) is str and not _has_zone(value)) for value in values)
    read = [_moment(value, naive=naive) if type(value) is str else value for value in values]
    if naive and (without := sum(map(_is_moment, texts))):
        notes.append(f"{without:,} times have no zone, and were read as UTC")
    return of_seconds(read, notes)


def of_seconds(values: Sequence[Any], notes: list[str]) -> list[Any]:
    """Times of which some are numbers of seconds with a fraction, in whole milliseconds; any others as they are.

    What `time.time()` gives in Python is told by its fractions and by its size, as `in_milliseconds` tells it.
    notes: gets a remark where they are read so.
    """
    numbers = [value for value in values if type(value) in {int, float}]
    if not any(type(number) is float and number % 1 for number in numbers):  # NaN has no sum, and no day either
        return list(values)
    if sum(map(_are_seconds, numbers)) < IN_UNIT * len(numbers):
        return list(values)
    notes.append("the timestamps are seconds, and were read so")
    return [_milliseconds(value) if _are_seconds(value) else value for value in values]


def _are_seconds(value: Any) -> bool:
    return type(value) in {int, float} and YEAR_1980 <= value <= YEAR_2100


def _milliseconds(seconds: float) -> int:
    return round(seconds * 10**6) // 1000


def in_milliseconds(times: pa.ChunkedArray) -> tuple[pa.ChunkedArray, str | None]:
    """Unix times in milliseconds, and the unit they were in; None where that is milliseconds already.

    A column is taken to be in another unit if nine in ten of its times lie between 1980 and 2100 in that unit. As
    milliseconds the same numbers would be days of 1970, or after the year 10,000, so no column is in two units.
    """
    known = len(times) - times.null_count
    for unit, (second, factor, divisor) in UNITS.items():
        low, high = pa.scalar(YEAR_1980 * second, pa.int64()), pa.scalar(min(YEAR_2100 * second, 2**63 - 1), pa.int64())
        plausible = pc.and_(pc.greater_equal(times, low), pc.less_equal(times, high))
        if known and (pc.sum(plausible).as_py() or 0) >= IN_UNIT * known:
            scaled = pc.divide(pc.multiply(times, factor), divisor)  # wraps around where a time is impossible anyway
            return pc.if_else(plausible, scaled, times), unit
    return times, None


def unix_ms(text: str) -> int:
    """The moment that `text` names, such as `2025-11-20T12:00:00Z` or `2025-11-20T13:00:00.250+01:00`.

    What is finer than a millisecond is cut off. Raises ValueError for text that is not ISO 8601, and for a time without
    a zone: nobody can tell which moment that is.
    """
    try:
        moment = datetime.fromisoformat(f"{text[:-1]}Z" if text.endswith("z") else text)  # RFC 3339 allows both
        if moment.tzinfo is not None:
            return (moment - EPOCH) // MILLISECOND
    except (ValueError, OverflowError) as error:
        raise ValueError(f"{text[:40]!r} is no ISO 8601 time, such as 2025-11-20T12:00:00Z") from error
    raise ValueError(f"{text[:40]!r} has no zone: end it with Z, or with an offset such as +01:00")


def _moment(text: str, *, naive: bool) -> Any:
    """The number that a text is or names; the text itself if it is neither."""
    stripped = _plainly(text)
    if NUMBER.fullmatch(stripped):
        number = float(stripped.replace(",", "."))
        return int(stripped) if stripped.lstrip("+-").isdigit() else number
    for attempt in (stripped, NAMED_UTC.sub("Z", stripped), *([_with_zone(stripped)] if naive else [])):
        try:
            return unix_ms(attempt)
        except ValueError:
            continue
    return text


def _plainly(text: str) -> str:
    """A time without what other programs write around it, or otherwise than ISO 8601."""
    return YEAR_FIRST.sub(r"\1-\2-\3", ZONE_NAME.sub("", text.strip()).replace(MINUS, "-"))


def _with_zone(text: str) -> str:
    """A time, or a day, in UTC."""
    try:
        return datetime.fromisoformat(text).replace(tzinfo=UTC).isoformat()
    except ValueError:
        return text


def _has_zone(text: str) -> bool:
    try:
        unix_ms(NAMED_UTC.sub("Z", _plainly(text)))
    except ValueError:
        return False
    return True


def _is_moment(text: str) -> bool:
    return not NUMBER.fullmatch(text.strip()) and type(_moment(text, naive=True)) is int
