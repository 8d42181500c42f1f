"""The sound events of Parquet files in the order of users and time, as numbers, within bounded memory.

DuckDB reads, cleans, joins and sorts, and spills to disk what does not fit. It keeps and orders the events as
`catalog.data.tombstones.read_kept_events` and `catalog.data.events.drop_unknown_items` do, which have all in memory.

Shapes: U users, Q queries, B events of a batch.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from catalog.bundle.disk import disk_full_reason
from catalog.data.columns.types import is_text
from catalog.data.events import RECORDED_AS, RECORDED_AT, VALUE, EventType
from catalog.data.items import Items
from catalog.data.reading.timestamps import UNITS, YEAR_1980, YEAR_2100
from catalog.data.tombstones import ERASED, Tombstones
from catalog.data.validation_report import ValidationReport
from trainer.core.errors import TrainerError

__all__ = ["KINDS", "UNKNOWN_ITEM", "SortedEvents", "check_readable", "sorted_events"]

COLUMNS = ("user_id", "item_id", "timestamp", "type", "query", "event_id", VALUE, RECORDED_AT, RECORDED_AS)
REQUIRED = COLUMNS[:4]
FILE_BITS = 40  # of the number of a row within its file
BATCH = 1 << 20
IDS_AT_ONCE = 3_000_000
"""Event ids that are compared with each other, some 100 bytes each."""
IN_UNIT = 0.9
KIND = {VALUE: "DOUBLE", RECORDED_AT: "BIGINT"}

KINDS = list(EventType)
UNKNOWN_ITEM = "unknown item"
"""Why events of items that the catalog lacks are left out."""
SOUND = f"""
    user_id <> '' AND item_id <> '' AND timestamp BETWEEN 0 AND {YEAR_2100 * 1000}
    AND type IN ({", ".join(f"'{kind}'" for kind in KINDS)})
"""
KEPT = """
    CREATE VIEW kept AS SELECT e.* FROM sound e
    LEFT JOIN tombstones u ON u.sha256 = sha256(e.user_id)
    LEFT JOIN tombstones s ON s.sha256 = sha256(e.recorded_as)
    WHERE coalesce(e.recorded_at, e.timestamp) > greatest(coalesce(u.erased_at, -1), coalesce(s.erased_at, -1))
"""
"""The sound events that came after their users were erased, if they were."""


@dataclass(frozen=True, slots=True)
class SortedEvents:
    """What DuckDB has found; usable while the connection is open.

    read: how many rows the files have.
    """

    connection: duckdb.DuckDBPyConnection
    read: int

    def report(self) -> ValidationReport:
        """How many events were read, and why the others than those of `batches` were left out."""
        sound, kept, known = (self._count(view) for view in ("sound", "kept", "known"))
        unique = kept - self._count("repeated", "coalesce(sum(times - 1), 0)")
        report = ValidationReport("events", read=self.read)
        report.count("broken: no id, no moment between 1970 and 2100, or an unknown type", self.read - sound)
        report.count(ERASED, sound - kept, fault=False)
        report.count("duplicate event_id", kept - unique)
        report.count(UNKNOWN_ITEM, unique - known, fault=False)
        return report

    def _count(self, view: str, what: str = "count(*)") -> int:
        return int(self.connection.execute(f"SELECT {what} FROM {view}").fetchall()[0][0])

    def user_ids(self) -> Iterator[pa.Array]:
        """The users' ids by number, which is their order, in batches."""
        yield from self._column("SELECT user_id FROM users ORDER BY number")

    def queries(self) -> Iterator[pa.Array]:
        """The distinct queries by number, in batches, blank ones too."""
        yield from self._column("SELECT query FROM queries ORDER BY number")

    def batches(self) -> Iterator[pa.RecordBatch]:
        """All events by user and time; those of one moment in the order of the files.

        The columns: user, item (its row), time (Unix ms), kind (place in EventType), value (null if none), query (its
        number, or null).
        """
        asked = """
            SELECT u.number AS user, k.item, k.timestamp AS time, list_position($kinds, k.type) - 1 AS kind,
                CASE WHEN isfinite(k.value) THEN k.value END AS value,
                q.number AS query
            FROM known k JOIN users u USING (user_id) LEFT JOIN queries q USING (query)
            ORDER BY u.number, k.timestamp, k.place
        """
        yield from self.connection.sql(asked, params={"kinds": KINDS}).to_arrow_reader(BATCH)

    def _column(self, asked: str) -> Iterator[pa.Array]:
        for batch in self.connection.sql(asked).to_arrow_reader(BATCH):
            yield batch.column(0)


@contextmanager
def sorted_events(
    files: Sequence[Path], tombstones: Tombstones, items: Items, scratch: Path, *, memory: str, threads: int
) -> Iterator[SortedEvents]:
    """A context with the events of these files.

    files: Parquet as `gemserve import` and `gemserve export` write it. tombstones: of erased users. scratch: a folder
    for what does not fit. memory: what DuckDB may use, such as "1GB".

    Raises TrainerError for a file that DuckDB cannot read as today's reader would: it says what to do.
    """
    config: dict[str, str | bool | int | float | list[str]] = {
        "memory_limit": memory,
        "threads": threads,
        "temp_directory": str(scratch),
        "preserve_insertion_order": False,
    }
    with _clear_errors(files, memory), duckdb.connect(str(scratch / "events.duckdb"), config=config) as connection:
        connection.execute("SET enable_progress_bar = false")  # which it draws on the standard output
        # their places among all rows decide which of several comes first
        parts = [_part(file, number) for number, file in enumerate(files)]
        connection.execute(f"CREATE VIEW events AS {' UNION ALL '.join(parts)}")
        read = _check_times(connection)
        connection.register("item_rows", pa.table({"item_id": items.table["item_id"], "item": range(len(items))}))
        rows = {"sha256": list(tombstones), "erased_at": list(tombstones.values())}
        connection.register("tombstones", pa.table(rows, pa.schema({"sha256": pa.string(), "erased_at": pa.int64()})))
        connection.execute(f"CREATE VIEW sound AS SELECT * FROM events WHERE {SOUND}")
        connection.execute(KEPT if tombstones else "CREATE VIEW kept AS SELECT * FROM sound")
        _find_repeated(connection, read)
        connection.execute("""
            CREATE VIEW known AS SELECT k.*, i.item
            FROM kept k LEFT JOIN repeated r USING (user_id, event_id) JOIN item_rows i USING (item_id)
            WHERE r.first IS NULL OR k.place = r.first
        """)
        for table, column in (("users", "user_id"), ("queries", "query")):
            connection.execute(
                f"CREATE TABLE {table} AS SELECT {column}, row_number() OVER (ORDER BY {column}) - 1 AS number"
                f" FROM (SELECT DISTINCT {column} FROM known WHERE {column} IS NOT NULL)"
            )
        yield SortedEvents(connection, read)


def check_readable(file: Path) -> pa.Schema:
    """The columns of a file. Raises TrainerError for one that is not as `gemserve import` and `export` write it."""
    try:
        schema = pq.read_schema(file)
    except (pa.ArrowException, OSError) as fault:
        raise TrainerError(f"{file}: not a readable Parquet file ({fault}): `gemserve import` writes one") from fault
    missing = [name for name in REQUIRED if name not in schema.names]
    if missing:
        raise TrainerError(f"{file}: the column {missing[0]!r} is missing; the columns are: {', '.join(schema.names)}")
    for name in COLUMNS:
        if name in schema.names and not _is_as_written(name, schema.field(name).type):
            kind = schema.field(name).type
            raise TrainerError(
                f"{file}: the column {name!r} is {kind}: let `gemserve import jsonl` write the file again"
            )
    return schema


def _part(file: Path, number: int) -> str:
    """The rows of a file with all columns, and the place of each among the rows of all files."""
    schema = check_readable(file)
    own = [name if name in schema.names else f"NULL::{KIND.get(name, 'VARCHAR')} AS {name}" for name in COLUMNS]
    columns = ", ".join([*own, f"{number << FILE_BITS} + file_row_number AS place"])
    path = str(file).replace("'", "''")
    return f"SELECT {columns} FROM read_parquet('{path}', file_row_number = true)"


def _find_repeated(connection: duckdb.DuckDBPyConnection, read: int) -> None:
    """Make the table of event ids that a user has several times: the first place of each, and how often it comes.

    DuckDB cannot group more ids than fit in its memory, so those of some hashes are grouped at a time.
    """
    connection.execute("CREATE TABLE repeated (user_id VARCHAR, event_id VARCHAR, first BIGINT, times BIGINT)")
    parts = read // IDS_AT_ONCE + 1
    for part in range(parts):
        connection.execute(
            "INSERT INTO repeated SELECT user_id, event_id, min(place), count(*) FROM kept"
            f" WHERE event_id IS NOT NULL AND hash(user_id, event_id) % {parts} = {part}"
            " GROUP BY ALL HAVING count(*) > 1"
        )


def _is_as_written(name: str, kind: pa.DataType) -> bool:
    if name in ("timestamp", RECORDED_AT):
        return bool(pa.types.is_int64(kind))
    return bool(pa.types.is_float64(kind)) if name == VALUE else is_text(kind)


def _check_times(connection: duckdb.DuckDBPyConnection) -> int:
    """The number of rows. Raises TrainerError where the times are in another unit than milliseconds."""
    within = ", ".join(
        f"count(*) FILTER (timestamp BETWEEN {YEAR_1980 * second} AND {min(YEAR_2100 * second, 2**63 - 1)})"
        for second, _, _ in UNITS.values()
    )
    asked = f"SELECT count(*), count(timestamp), {within} FROM events"
    read, known, *plausible = connection.execute(asked).fetchall()[0]
    for unit, count in zip(UNITS, plausible, strict=True):
        if known and count >= IN_UNIT * known:
            raise TrainerError(f"the timestamps are {unit}: let `gemserve import jsonl` write the file in milliseconds")
    return int(read)


@contextmanager
def _clear_errors(files: Sequence[Path], memory: str) -> Iterator[None]:
    """A context in which what DuckDB raises becomes what people can act on."""
    try:
        yield
    except (duckdb.Error, pa.ArrowException) as fault:
        text = str(fault)
        if disk_full_reason(fault) is not None or "max_temp_directory_size" in text:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)) from fault
        if isinstance(fault, duckdb.OutOfMemoryException):
            raise TrainerError(f"{memory} are too little to sort the events: raise events.memory_gb") from fault
        named = [file for file in files if str(file) in text] or files
        raise TrainerError(
            f"{', '.join(map(str, named))}: cannot be read to the end ({text.splitlines()[0]}): the file is damaged; "
            "copy it again, or write it again with `gemserve import` or `gemserve export events`"
        ) from fault
