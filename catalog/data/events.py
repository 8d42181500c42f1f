"""Events: what people did, the behaviour models are trained on.

The contract of an events file (Parquet or JSON):

    user_id, item_id    string; whole numbers are accepted and turned to strings
    timestamp           Unix milliseconds, a whole number (a file in seconds, micro- or nanoseconds is told by its
                        numbers); or ISO 8601 text, such as 2025-11-20T12:00:00Z, or a Parquet timestamp, where a column
                        without any zone is UTC
    type                view, click, cart, purchase, rating, dislike or impression; never guessed: a file without the
                        column is refused, and a row without a type is a broken one
    query               string or null; an event with one is *search* behaviour, without one *recommendation* behaviour
    event_id            string or null; names an event of its user
    request_id          string or null; of the answer that showed the item
    value               a finite number or null: of a rating the stars, of a purchase the money; files may lack the
                        column

An export adds `recorded_at`, when the server got the event (as `timestamp`), and `recorded_as`, the session under whose
id it came, where that was merged into the user. Every further column of scalars or of lists of strings is kept.
"""

from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from catalog.data.columns.long_text import encoded, taken
from catalog.data.reading.timestamps import in_milliseconds
from catalog.data.schema import TableSchema, conform
from catalog.data.tables import first_occurrences, read_table, write_table
from catalog.data.validation_report import ValidationReport, unmarked
from catalog.errors import EventsError

__all__ = [
    "EVENTS_SCHEMA",
    "RECORDED_AS",
    "RECORDED_AT",
    "VALUE",
    "EventType",
    "clean_events",
    "drop_unknown_items",
    "read_events",
    "read_sound_events",
    "unique_events",
    "write_events",
]

RECORDED_AT = "recorded_at"
RECORDED_AS = "recorded_as"
VALUE = "value"


class EventType(StrEnum):
    """What somebody did with an item."""

    VIEW = "view"
    CLICK = "click"
    CART = "cart"
    PURCHASE = "purchase"
    RATING = "rating"
    DISLIKE = "dislike"
    IMPRESSION = "impression"

    @property
    def is_interaction(self) -> bool:
        """Whether the user chose the item: an impression only showed it, and a dislike is the opposite."""
        return self not in (EventType.DISLIKE, EventType.IMPRESSION)


EVENTS_SCHEMA = TableSchema(
    columns=pa.schema(
        {
            "user_id": pa.string(),
            "item_id": pa.string(),
            "timestamp": pa.int64(),
            "type": pa.string(),
            "query": pa.string(),
            "event_id": pa.string(),
            "request_id": pa.string(),
        }
    ),
    required=frozenset({"user_id", "item_id", "timestamp", "type"}),
    identifiers=frozenset({"user_id", "item_id", "event_id", "request_id", RECORDED_AS}),
    error=EventsError,
    optional=pa.schema({VALUE: pa.float64(), RECORDED_AT: pa.int64(), RECORDED_AS: pa.string()}),
    times=frozenset({"timestamp", RECORDED_AT}),
)

_YEAR_2100 = 4_102_444_800_000


def read_events(path: Path, *, strict: bool = False) -> tuple[pa.Table, ValidationReport]:
    """The sound events of a `.parquet` or `.jsonl` file, sorted by user and time, ties in the order of the file.

    Broken events are dropped and counted in the report; with `strict` a single one raises EventsError, which shows
    them. Raises EventsError for a file or a column that cannot be used at all.
    """
    events, report = read_sound_events(path)
    events = unique_events([events], report)
    if strict and report.faults:
        faults = "\n".join(report.fault_lines())
        raise EventsError(f"{path}: {report.broken:,} of {report.read:,} events are broken\n{faults}")
    return events, report


def read_sound_events(path: Path, *, named: bool = False) -> tuple[pa.Table, ValidationReport]:
    """The sound rows of one file in its order, for `unique_events`; the report counts the others.

    named: whether the report's examples name the file too. Raises EventsError as `read_events` does.
    """
    report = ValidationReport("events", place=f"{path.name} line" if named else "line")
    return _sound(read_table(path, EVENTS_SCHEMA, report), report), report


def write_events(table: pa.Table, path: Path) -> None:
    """Write a `.parquet` or `.jsonl` file, whole or not at all."""
    write_table(table, path)


def clean_events(table: pa.Table, report: ValidationReport) -> pa.Table:
    """The sound rows of `table` in the contract's columns, sorted stably by user and time; the others are counted.

    `report.read` is left alone: whoever read the rows has counted them. Of several events of a user with one `event_id`
    the first is kept. A blank query is no query. Raises EventsError for a missing column or one of a wrong type.
    """
    return unique_events([_sound(table, report)], report)


def unique_events(parts: Sequence[pa.Table], report: ValidationReport, *, marked: bool = False) -> pa.Table:
    """All rows of sound parts in one table, sorted stably by user and time.

    marked: whether the rows of a single part keep their line numbers, for further reports.

    Of several events of a user with one `event_id` the first is kept, in the order of the parts; the others are
    counted. Of several parts, columns that are not the contract's are left away.
    """
    if len(parts) > 1:
        contract = (*EVENTS_SCHEMA.columns.names, VALUE)
        parts = [part.select([name for name in contract if name in part.column_names]) for part in parts]
    table = pa.concat_tables(parts, promote_options="default")
    repeated = pc.invert(first_occurrences(table["event_id"], within=table["user_id"]))
    table = report.drop(table, repeated, "duplicate event_id", show=("event_id",))
    table = taken(table, _by_user_and_time(table))
    return table if marked else unmarked(table)


def drop_unknown_items(
    events: pa.Table, item_ids: pa.ChunkedArray, report: ValidationReport, *, fault: bool = True
) -> pa.Table:
    """The events whose item is among `item_ids`; the others are counted, as faults or as left out by choice."""
    unknown = pc.invert(pc.is_in(events["item_id"], item_ids))
    return report.drop(events, unknown, "unknown item", show=("item_id", "user_id"), fault=fault)


def _by_user_and_time(events: pa.Table) -> NDArray[np.int64]:
    """The rows in the order of users, by their ids' bytes, and then of time; ties stay as they are."""
    users = encoded(events["user_id"])
    rank_U = np.empty(len(users.dictionary), np.int32)
    rank_U[pc.sort_indices(users.dictionary).to_numpy()] = np.arange(len(rank_U), dtype=np.int32)
    order_E: NDArray[np.int64] = np.lexsort((events["timestamp"].to_numpy(), rank_U[users.indices.to_numpy()]))
    return order_E


def _sound(table: pa.Table, report: ValidationReport) -> pa.Table:
    """The rows that are right by themselves, in the contract's columns."""
    table = conform(table, EVENTS_SCHEMA, "events")
    for name in ("user_id", "item_id"):
        nameless = pc.equal(pc.fill_null(table[name], ""), "")
        table = report.drop(table, nameless, f"missing {name}", show=("user_id", "item_id"))
    time, unit = in_milliseconds(table["timestamp"])
    if unit is not None:
        report.notes.append(f"the timestamps are {unit}, and were read so")
        table = table.set_column(table.column_names.index("timestamp"), "timestamp", time)
    impossible = pc.or_(pc.less(time, 0), pc.greater(time, _YEAR_2100))
    reason = "broken timestamp (missing, or not Unix milliseconds before the year 2100, or text that is no such moment)"
    table = report.drop(table, impossible, reason, show=("user_id", "item_id", "timestamp"))
    unknown = pc.invert(pc.is_in(table["type"], pa.array(list(EventType), pa.string())))
    reason = f"unknown type (known are {', '.join(EventType)})"
    table = report.drop(table, unknown, reason, show=("user_id", "item_id", "type"))
    return _with_finite_values(_without_blank_queries(table, report), report)


def _with_finite_values(table: pa.Table, report: ValidationReport) -> pa.Table:
    if VALUE not in table.column_names:
        return table
    endless = pc.fill_null(pc.invert(pc.is_finite(table[VALUE])), False)
    number = pc.sum(endless).as_py() or 0
    if number == 0:
        return table
    report.notes.append(f"{number:,} values that are no finite numbers were read as none")
    value = pc.if_else(endless, pa.scalar(None, pa.float64()), table[VALUE])
    return table.set_column(table.column_names.index(VALUE), VALUE, value)


def _without_blank_queries(table: pa.Table, report: ValidationReport) -> pa.Table:
    blank = pc.fill_null(pc.equal(pc.utf8_trim_whitespace(table["query"]), ""), False)
    number = pc.sum(blank).as_py() or 0
    if number == 0:
        return table
    report.notes.append(f"{number:,} blank queries were read as no query")
    query = pc.if_else(blank, pa.scalar(None, pa.string()), table["query"])
    return table.set_column(table.column_names.index("query"), "query", query)
