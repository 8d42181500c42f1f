"""Tombstones: whose events must not be trained on, up to when.

Beside `events.parquet` the export writes `events.erased.json`, a list of `{"sha256": …, "erased_at": …}`: of each user
who was erased the SHA-256 of the id, in UTF-8, and the moment in Unix ms. Events of that user which came by then are
left out wherever events are trained on, so that a file which is older than the erasure brings nobody back. An event
came when its column `recorded_at` says (Unix ms; the export writes it), and where it has none, at its `timestamp`.

A digest does not tell an id, but whoever guesses an id can check the guess: keep the file as you keep the events.
"""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from catalog.data.events import read_events
from catalog.data.validation_report import ValidationReport
from catalog.errors import EventsError

__all__ = [
    "ERASED",
    "RECORDED_AT",
    "digest_of",
    "drop_erased",
    "read_kept_events",
    "read_tombstones",
    "tombstone_files",
    "tombstones_beside",
    "write_tombstones",
]

RECORDED_AT = "recorded_at"
ERASED = "event of an erased user"

Tombstones = Mapping[str, int]
"""SHA-256 of a user's id, in hexadecimal → when the user was erased, Unix ms."""


def digest_of(user: str) -> str:
    """What stands for an erased user."""
    return hashlib.sha256(user.encode()).hexdigest()


def tombstones_beside(events: Path) -> Path:
    """Where the tombstones that belong to a file of events stand, if there are any."""
    return events.with_name(f"{events.stem}.erased.json")


def read_tombstones(path: Path) -> dict[str, int]:
    """Raises EventsError for a file that is missing or no list of tombstones."""
    try:
        rows = orjson.loads(path.read_bytes())
        return {_digest(row["sha256"]): int(row["erased_at"]) for row in rows}
    except OSError as fault:
        raise EventsError(f"{path}: cannot be read ({fault.strerror})") from fault
    except (ValueError, TypeError, KeyError) as fault:
        raise EventsError(
            f"{path}: is no list of {{'sha256': …, 'erased_at': …}} ({fault}): "
            "write it again with `gemserve export events`"
        ) from fault


def write_tombstones(tombstones: Tombstones, path: Path) -> None:
    """Whole or not at all, in the order of the digests."""
    rows = [{"sha256": digest, "erased_at": erased_at} for digest, erased_at in sorted(tombstones.items())]
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        temporary.write_bytes(orjson.dumps(rows, option=orjson.OPT_INDENT_2) + b"\n")
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def tombstone_files(events: Path, erased: Path | None = None) -> list[Path]:
    """The files of tombstones that count for a file of events: the one beside it, if there is one, and `erased`.

    Raises EventsError where `erased` does not exist.
    """
    if erased is not None and not erased.is_file():
        raise EventsError(f"{erased}: there is no such file of erased users; `gemserve export events` writes one")
    beside = tombstones_beside(events)
    files = [beside] if beside.is_file() else []
    return files if erased is None or erased in files else [*files, erased]


def read_kept_events(path: Path, tombstones: Sequence[Path]) -> tuple[pa.Table, ValidationReport]:
    """As `read_events`, without the events of erased users; they are counted as omissions of the report, under ERASED.

    Raises EventsError, for a file of tombstones too.
    """
    events, report = read_events(path)
    for file in tombstones:
        kept = drop_erased(events, read_tombstones(file))
        report.count(ERASED, len(events) - len(kept), fault=False)
        events = kept
    return events, report


def drop_erased(events: pa.Table, tombstones: Tombstones) -> pa.Table:
    """The events, in their order, without those that came before their user was erased."""
    if not tombstones or len(events) == 0:
        return events
    users = events["user_id"].combine_chunks().dictionary_encode()
    erased_at_U = np.array([tombstones.get(digest_of(user), -1) for user in users.dictionary.to_pylist()], np.int64)
    return events.filter(pa.array(_came_at(events) > erased_at_U[users.indices.to_numpy()]))


def _came_at(events: pa.Table) -> NDArray[np.int64]:
    times = events["timestamp"]
    if RECORDED_AT in events.column_names:
        times = pc.coalesce(events[RECORDED_AT].cast(pa.int64()), times)
    moments: NDArray[np.int64] = times.to_numpy()
    return moments


def _digest(value: Any) -> str:
    if not (isinstance(value, str) and len(value) == 64 and set(value) <= set("0123456789abcdef")):
        raise ValueError(f"sha256 {value!r} is no SHA-256 in hexadecimal")
    return value
