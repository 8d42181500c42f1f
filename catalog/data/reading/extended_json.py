"""Records as data bases dump them: MongoDB's extended JSON, and documents within what Elasticsearch says of them."""

from collections.abc import Callable, Set
from datetime import UTC, datetime, timedelta
from math import isfinite
from typing import Any

__all__ = ["plain_record"]

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
DOCUMENT = "_source"
"""Where Elasticsearch keeps the document, beside `_index` and `_id`."""


def plain_record(record: dict[str, Any], required: Set[str]) -> dict[str, Any]:
    """The record with plain values for those of extended JSON, such as `{"$oid": "65a…"}`; others are as they are.

    required: names of which a record has one at least; one without any may be around the document that is meant.
    """
    within = record.get(DOCUMENT)
    if isinstance(within, dict) and not required & record.keys():
        record = within
    if not any(type(value) in {dict, list} for value in record.values()):
        return record
    return {name: _plain(value) for name, value in record.items()}


def _plain(value: Any) -> Any:
    if type(value) is list:
        return [_plain(entry) for entry in value]
    if type(value) is not dict or len(value) != 1:
        return value
    ((kind, inner),) = value.items()
    try:
        return _MEANINGS[kind](inner) if kind in _MEANINGS else value
    except (ValueError, TypeError, KeyError, OverflowError):
        return value


def _text(inner: Any) -> str:
    if type(inner) is not str:
        raise TypeError(inner)
    return inner


def _real(inner: Any) -> float | None:
    number = float(inner)
    return number if isfinite(number) else None


def _moment(inner: Any) -> str:
    """ISO 8601: MongoDB writes so what lies in the years 1970 to 9999, and milliseconds for all else."""
    if type(inner) is dict:
        inner = int(inner["$numberLong"])
    return inner if type(inner) is str else (EPOCH + timedelta(milliseconds=inner)).isoformat()


_MEANINGS: dict[str, Callable[[Any], Any]] = {
    "$oid": _text,
    "$uuid": _text,
    "$symbol": _text,
    "$numberInt": int,
    "$numberLong": int,
    "$numberDouble": _real,
    "$numberDecimal": _real,
    "$date": _moment,
    "$binary": lambda inner: _text(inner["base64"]),
    "$undefined": lambda _inner: None,
}
