"""Writes the event log for training:

    gemserve export events --redis redis://127.0.0.1:6379/0 --out data/events.parquet [--since MS] [--until MS]

`python -m server.cli.export_events` is the same. Read on in docs/data.md.

The file keeps to the contract of `catalog/data/events.py`, in order of time, with two columns more: `recorded_at`, when
each event came (Unix ms), and `recorded_as`, the session under whose id it came. Events of a session are given to the
user whom it was merged into; an event that came both ways is written once. `--since` and `--until` (Unix ms, the second
one excluded) choose by the events' own time.

Events of users who were erased, up to then, are left out, and the tombstones are written beside the file
(`catalog/data/tombstones.py`), where training looks for them. Those that stand there already count too and are kept: a
Redis that was lost, or put back from an older copy, does not undo an erasure.

The log's parts, one a bucket, are read in pieces; sorted runs of them go to a temporary folder beside the file and are
merged from there. So memory does not grow with the log, but for eight bytes an event. Status 2: nothing was written.
"""

from __future__ import annotations

import argparse
import heapq
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from itertools import islice
from pathlib import Path
from typing import NamedTuple, cast

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from redis.exceptions import RedisError

from catalog.bundle.disk import access_reason
from catalog.data.events import EVENTS_SCHEMA
from catalog.data.tombstones import (
    digest_of,
    latest_tombstones,
    read_tombstones,
    tombstone_files,
    tombstones_beside,
    write_tombstones,
)
from catalog.drained import owner_of
from catalog.errors import CatalogError
from catalog.terminal_escapes import printable
from server.cli.redis_url import add_redis_argument, server_namespace, server_redis, where_redis_may_be
from server.core.errors import ServerError
from server.storage.keyspace import KEYS, BucketKey, Keyspace, StreamPlace, read_keyspace
from server.storage.primary import BlockingRedis, open_redis

__all__ = ["Counts", "Entry", "People", "Row", "export_events", "main", "read_hash", "read_hashes", "rows_of"]

PIECE = 2_000  # entries of the log in one round trip
RUN = 100_000  # events sorted in memory at a time: about 80 MB
GROUP = 50_000  # events of a row group
REDIS_SECONDS = 30.0  # for one piece: a Redis that falls silent ends the export

SCHEMA = pa.schema([*EVENTS_SCHEMA.columns, *EVENTS_SCHEMA.optional])

Entry = tuple[bytes, Mapping[bytes, bytes]]


class Row(NamedTuple):
    """An event of the log; rows compare by time, then in the order in which they came."""

    timestamp: int
    recorded_at: int
    place: int  # among those that came in one millisecond
    user_id: str
    item_id: str
    type: str
    query: str | None
    event_id: str
    request_id: str | None
    recorded_as: str | None = None  # the session, where `user_id` is whom it was merged into
    value: float | None = None


NEEDED = {"timestamp", "user_id", "item_id", "type", "query", "event_id", "request_id"}  # older entries have no value
KINDS = {**dict.fromkeys(("timestamp", "recorded_at", "place"), pa.int64()), "value": pa.float64()}
RUN_SCHEMA = pa.schema([(name, KINDS.get(name, pa.string())) for name in Row._fields])


@dataclass(slots=True)
class Counts:
    """What became of the log's entries."""

    read: int = 0
    outside: int = 0
    erased: int = 0
    repeated: int = 0
    of_sessions: int = 0
    written: int = 0
    tombstones: int = 0

    def __str__(self) -> str:
        return (
            f"{self.read:,} events read: {self.written:,} written, {self.of_sessions:,} of them from merged sessions; "
            f"{self.outside:,} outside of the time asked for, {self.erased:,} of erased users and {self.repeated:,} "
            f"repetitions left out; {self.tombstones:,} users are erased"
        )


def export_events(
    redis: BlockingRedis, out: Path, *, since: int = 0, until: int | None = None, keys: Keyspace = KEYS
) -> Counts:
    """Writes `out` and its tombstones, each whole or not at all, the tombstones first.

    keys: of the catalog whose events they are.

    Raises RedisError, OSError, and EventsError for tombstones beside `out` that cannot be read.
    """
    counts = Counts()
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".export-", dir=out.parent) as folder:
        runs = _Runs(Path(folder))
        for row in _log(redis, keys):
            counts.read += 1
            if since <= row.timestamp and (until is None or row.timestamp < until):
                runs.add(row)
            else:
                counts.outside += 1
        # After the log, and sessions before erasures, so that what was merged or erased meanwhile is so in the file.
        aliases = {name: user for part in read_hashes(redis, keys, "aliases") for name, user in part.items()}
        erased = [{sha: int(at) for sha, at in part.items()} for part in read_hashes(redis, keys, "tombstones")]
        there = map(read_tombstones, tombstone_files([out]))
        people = People(aliases, latest_tombstones(*there, *erased))
        counts.tombstones = len(people.tombstones)
        draft = Path(folder) / "events.parquet"
        with pq.ParquetWriter(draft, SCHEMA, compression="zstd") as writer:
            rows = _kept(runs.merged(), people, runs.repeated_ids(), counts)
            while group := list(islice(rows, GROUP)):
                writer.write_table(_table(group, SCHEMA))
                counts.written += len(group)
        write_tombstones(people.tombstones, tombstones_beside(out))
        draft.replace(out)
    return counts


@dataclass(frozen=True, slots=True)
class People:
    """aliases: of each merged session its user. tombstones: SHA-256 of an erased user's id → when."""

    aliases: Mapping[str, str]
    tombstones: Mapping[str, int]

    def user_of(self, name: str) -> str:
        return owner_of(name, self.aliases)

    def erased_at(self, name: str) -> int:
        """Up to when nothing counts that came under a name, Unix ms: it was erased then, or who it was merged into."""
        if not self.tombstones:
            return -1
        return max(self.tombstones.get(digest_of(one), -1) for one in {name, self.user_of(name)})


@dataclass(slots=True)
class _Runs:
    """Rows in sorted files, and a hash of every event id."""

    folder: Path
    _rows: list[Row] = field(default_factory=list)
    _files: list[Path] = field(default_factory=list)
    _hashes: list[np.ndarray] = field(default_factory=list)

    def add(self, row: Row) -> None:
        self._rows.append(row)
        if len(self._rows) >= RUN:
            self._spill()

    def merged(self) -> Iterator[Row]:
        """All rows in order."""
        self._spill()
        return heapq.merge(*(_read(file) for file in self._files), key=lambda row: row[:3])

    def repeated_ids(self) -> frozenset[int]:
        """Hashes of the event ids that more than one row has."""
        self._spill()
        hashes, times = np.unique(np.concatenate(self._hashes), return_counts=True)
        return frozenset(hashes[times > 1].tolist())

    def _spill(self) -> None:
        if not self._rows and self._files:
            return
        self._rows.sort(key=lambda row: row[:3])
        file = self.folder / f"run-{len(self._files)}.arrow"
        table = _table(self._rows, RUN_SCHEMA)
        with pa.OSFile(str(file), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
            writer.write_table(table, max_chunksize=PIECE)
        self._files.append(file)
        self._hashes.append(np.array([_hash(row.event_id) for row in self._rows], np.uint64))
        self._rows = []


def _kept(rows: Iterable[Row], people: People, repeated: frozenset[int], counts: Counts) -> Iterator[Row]:
    seen: set[tuple[str, str]] = set()
    for row in rows:
        user = people.user_of(row.user_id)
        if row.recorded_at <= people.erased_at(row.user_id):
            counts.erased += 1
        elif (user, row.event_id) in seen:
            counts.repeated += 1
        else:
            if _hash(row.event_id) in repeated:
                seen.add((user, row.event_id))
            counts.of_sessions += user != row.user_id
            yield row if user == row.user_id else row._replace(user_id=user, recorded_as=row.user_id)


def _log(redis: BlockingRedis, keys: Keyspace) -> Iterator[Row]:
    for log in keys.logs:
        start = "-"
        while entries := cast("list[Entry]", _piece(redis, log, start)):
            yield from rows_of(entries)
            start = f"({entries[-1][0].decode()}"


def rows_of(entries: Sequence[Entry]) -> list[Row]:
    """The events of a log, without the mark that a move of the users leaves there for a moment.

    Raises ValueError for what is neither.
    """
    return [_row(place, fields) for place, fields in entries if b"user_id" in fields]


def _row(entry: bytes, fields: Mapping[bytes, bytes]) -> Row:
    place = StreamPlace.of(entry)
    text = {name.decode(): value.decode() for name, value in fields.items()}
    if missing := NEEDED - text.keys():
        raise ValueError(f"the entry {entry.decode()} of the log is damaged: it has no {', '.join(sorted(missing))}")
    return Row(
        int(text["timestamp"]),
        place.moment,
        place.number,
        text["user_id"],
        text["item_id"],
        text["type"],
        text["query"] or None,
        text["event_id"],
        text["request_id"] or None,
        value=float(text["value"]) if text.get("value") else None,
    )


def _piece(redis: BlockingRedis, log: str, start: str) -> object:
    return redis.xrange(log, start, "+", count=PIECE)


def read_hashes(redis: BlockingRedis, keys: Keyspace, kind: BucketKey) -> list[dict[str, str]]:
    """The hash of each bucket; a user who was erased before and after buckets changed may be in two."""
    return [read_hash(redis, key) for key in keys.of_all(kind)]


def read_hash(redis: BlockingRedis, key: str) -> dict[str, str]:
    return {name.decode(): value.decode() for name, value in redis.hscan_iter(key, count=PIECE)}


def _table(rows: Sequence[Row], schema: pa.Schema) -> pa.Table:
    columns = dict(zip(Row._fields, zip(*rows, strict=True), strict=True)) if rows else dict.fromkeys(Row._fields, ())
    return pa.table({name: columns[name] for name in schema.names}, schema)


def _read(file: Path) -> Iterator[Row]:
    with pa.memory_map(str(file)) as source:
        reader = pa.ipc.open_file(source)
        for number in range(reader.num_record_batches):
            columns = reader.get_batch(number).to_pydict().values()
            yield from map(Row._make, zip(*columns, strict=True))


def _hash(event_id: str) -> int:
    return int.from_bytes(blake2b(event_id.encode(), digest_size=8).digest(), "little")


def parse(
    arguments: Sequence[str] | None = None, program: str = "python -m server.cli.export_events"
) -> argparse.Namespace:
    parser = argparse.ArgumentParser(program, description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_redis_argument(parser)
    parser.add_argument("--out", type=Path, required=True, help="events.parquet to write; .erased.json goes beside it")
    parser.add_argument("--since", type=int, default=0, metavar="MS", help="events from this time on, Unix ms")
    parser.add_argument("--until", type=int, metavar="MS", help="events before this time, Unix ms")
    options = parser.parse_args(arguments)
    if options.out.suffix != ".parquet":
        parser.error(f"--out {options.out}: the name must end in .parquet")
    return options


def main(arguments: Sequence[str] | None = None, program: str = "python -m server.cli.export_events") -> int:
    """The process's exit status. program: how it is called, for its help."""
    options = parse(arguments, program)
    try:
        namespace = server_namespace(options.namespace)
        with open_redis(server_redis(options.redis), REDIS_SECONDS) as redis:
            keys = read_keyspace(redis, namespace)
            counts = export_events(redis, options.out, since=options.since, until=options.until, keys=keys)
    except (RedisError, OSError, CatalogError, ServerError, ValueError) as error:  # ValueError: a damaged log
        reason = access_reason(error) or error
        print(f"export: nothing was written: {printable(reason)}{where_redis_may_be(error)}", file=sys.stderr)
        return 2
    print(f"{counts}\nwrote {options.out} and {tombstones_beside(options.out)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
