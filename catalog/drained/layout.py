"""Where a drained folder has what, and how readers and the one writer keep out of each other's way.

    <root>/_drain.json                                  how far each bucket's log is in the parts; the last write
    <root>/day=2026-11-29/bucket=07/0000000012.parquet  parts: events of a bucket that came on a day (UTC), as they came
    <root>/_aliases.parquet                             of each merged session its user
    <root>/events.erased.json                           tombstones (`catalog/data/tombstones.py`)
    <root>/_writer.lock, _files.lock

The day is that of `recorded_at`, when the event came, and not of its own time: so a day that has ended gets nothing
more, and every event of a moment is on that moment's day or a later one. Parts have the columns of an export but for
`recorded_as`, as a session may be merged later, and `recorded_place`: which of those of its bucket's millisecond.

A write is in `_drain.json` before it is done, so that whoever finds it half done can tell what counts. New parts are
written as drafts, under a hidden name, and renamed; `removed` go when they are there.
"""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import orjson
import pyarrow as pa

from catalog.bundle.disk import lock
from catalog.data.events import EVENTS_SCHEMA, RECORDED_AS
from catalog.errors import EventsError

__all__ = [
    "ALIASES",
    "PART_SCHEMA",
    "STATE",
    "TOMBSTONES",
    "bucket_folder",
    "hidden",
    "no_reader",
    "parts_below",
    "parts_of",
    "root_of",
    "wait_for_readers",
]

STATE = "_drain.json"
ALIASES = "_aliases.parquet"
TOMBSTONES = "events.erased.json"
FILES_LOCK = "_files.lock"
PARTS = "day=*/bucket=*/[!.]*.parquet"
DEPTH = 3  # folders from a part up to the root

PART_SCHEMA = pa.schema(
    [
        *EVENTS_SCHEMA.columns,
        *(field for field in EVENTS_SCHEMA.optional if field.name != RECORDED_AS),
        ("recorded_place", pa.int64()),
    ]
)


def root_of(path: Path) -> Path | None:
    """The drained folder that a path is, or is within; None for other paths."""
    whole = path.absolute()
    return next((folder for folder in [whole, *whole.parents][: DEPTH + 1] if (folder / STATE).is_file()), None)


def bucket_folder(day: str, tag: str) -> str:
    """Relative to the root. tag: the bucket's own in Redis, such as 07."""
    return f"day={day}/bucket={tag}"


def hidden(part: Path) -> Path:
    """The draft of a part."""
    return part.with_name(f".{part.name}")


def parts_of(root: Path) -> list[Path]:
    """All parts that count, each event in one of them, also where a write was broken off.

    Raises EventsError for a damaged `_drain.json`.
    """
    try:
        state = orjson.loads((root / STATE).read_bytes())
        made, removed = ({root / name for name in state[kind]} for kind in ("parts", "removed"))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise EventsError(
            f"{root / STATE} cannot be read ({error}): put it back, or drain to another folder"
        ) from error
    found = set(root.glob(PARTS))
    if removed:  # they count until all that take their place are there
        found -= removed if all(part.exists() for part in made) else made
    return sorted(found)


def parts_below(root: Path, paths: list[Path]) -> list[Path]:
    """The parts that any of the paths is, or has within it."""
    wanted = {path.absolute() for path in paths}
    return [part for part in parts_of(root) if not wanted.isdisjoint([part, *part.parents])]


@contextmanager
def wait_for_readers(root: Path) -> Iterator[None]:
    """A context for the writer in which nobody reads; it waits until those who do have ended."""
    with (root / FILES_LOCK).open("ab") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield


@contextmanager
def no_reader(root: Path) -> Iterator[bool]:
    """A context for the writer; whether nobody reads in it."""
    with (root / FILES_LOCK).open("ab") as stream:
        yield lock(stream)


@contextmanager
def reading(root: Path) -> Iterator[None]:
    """A context in which no part is removed. New ones may come."""
    try:
        stream = (root / FILES_LOCK).open("rb")
    except FileNotFoundError:  # a copy without it, to which nobody writes
        yield
        return
    with stream:
        fcntl.flock(stream, fcntl.LOCK_SH)
        yield
