"""Dates and times: what is written in a filter, and the clock of a column."""

import re
from datetime import datetime, timedelta
from fractions import Fraction

import pyarrow as pa

__all__ = ["read_datetime", "ticks_per_second"]

_EPOCH = datetime(1970, 1, 1)
_FINER_THAN_MICROSECONDS = re.compile(r"[.,]\d{7}")  # which datetime would cut off without a word


def read_datetime(text: str) -> Fraction | None:
    """Seconds since 1970 in UTC of an ISO 8601 date or time, exact, or None if `text` is none.

    A date is its midnight; what names no time zone is in UTC. Fractions of a second go down to microseconds.
    """
    if _FINER_THAN_MICROSECONDS.search(text):
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    since = moment.replace(tzinfo=None) - _EPOCH - (moment.utcoffset() or timedelta())
    return Fraction(since // timedelta(microseconds=1), 10**6)


def ticks_per_second(kind: pa.DataType) -> Fraction:
    """How many units of a timestamp or date type make a second."""
    if pa.types.is_date32(kind):
        return Fraction(1, 24 * 60 * 60)
    return Fraction({"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}["ms" if pa.types.is_date64(kind) else kind.unit])
