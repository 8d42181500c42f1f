"""Values of column types that JSON has no word for, as answers show them: what GET gives of an item PUT takes."""

from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any

import pyarrow as pa

__all__ = ["from_json", "is_double"]


def from_json(value: Any, kind: pa.DataType) -> Any:
    """A value of JSON as `pa.array` takes it for a column type; None for null.

    A time is ISO 8601 text. Without a zone it is in UTC, and one with a zone is moved to UTC, as in filters; what is
    finer than a microsecond is cut off, as in files. Raises TypeError, ValueError, OverflowError or ArrowException.
    """
    if value is None:
        return None
    if pa.types.is_timestamp(kind):
        return _moment(value, kind)
    if pa.types.is_date(kind):
        return value if type(value) is date else _day(value)
    if pa.types.is_boolean(kind) != (type(value) is bool):
        raise TypeError(value)
    if pa.types.is_integer(kind):
        return _whole(value, kind)
    if pa.types.is_floating(kind):
        return _real(value)
    return pa.scalar(value).cast(kind).as_py()


def _day(text: str) -> date:
    """A date, also as its midnight in UTC, which is what programs make of a date that they hold as a time."""
    try:
        return date.fromisoformat(text)
    except ValueError:
        moment = _moment(text, pa.timestamp("us"))
        if moment.time() != time.min:
            raise
        return moment.date()


def _moment(value: Any, kind: pa.DataType) -> datetime:
    moment = value if type(value) is datetime else datetime.fromisoformat(_upper_zone(value))
    moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    return moment if kind.tz is not None else moment.replace(tzinfo=None)


def _upper_zone(text: Any) -> str:
    if type(text) is not str:
        raise TypeError(text)
    return f"{text[:-1]}Z" if text.endswith("z") else text  # RFC 3339 allows both


def _whole(value: Any, kind: pa.DataType) -> int:
    if type(value) not in {int, float} or value != int(value):
        raise TypeError(value)
    whole: int = pa.scalar(int(value), kind).as_py()
    return whole


def _real(value: Any) -> float:
    if type(value) is float or (type(value) is int and is_double(value)):
        return float(value)
    raise TypeError(value)


def is_double(number: int) -> bool:
    """Whether a double is this whole number, or has it as its shortest digits, as JavaScript writes it."""
    try:
        nearest = float(number)
    except OverflowError:
        return False
    return number in (int(nearest), int(Decimal(repr(nearest))))
