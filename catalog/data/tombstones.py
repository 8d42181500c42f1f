"""Tombstones: whose events must not be trained on, up to when.

Beside `events.parquet` the export writes `events.erased.json`, a list of `{"sha256": …, "erased_at": …}`: of each user
who was erased the SHA-256 of the id, in UTF-8, and the moment in Unix ms. Wherever events are trained on, what that
user did up to then is left out, so that a file which is older than the erasure brings nobody back. Where several files
are read together, the tombstones of each count for all of them. Where the events are a symbolic link, the tombstones
beside the link and those beside the file that it leads to both count.

An event came when its column `recorded_at` says (Unix ms; the export writes it), and where it has none, at its
`timestamp`. An event that came under a session's id (`recorded_as`) goes with the session as well as with its user.

A digest does not tell an id, but whoever guesses an id can check the guess: keep the file as you keep the events.
"""

import hashlib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from catalog.data.columns.long_text import encoded
from catalog.data.events import RECORDED_AS, RECORDED_AT, read_sound_events, unique_events
from catalog.data.reading.names import bare_name
from catalog.data.validation_report import ValidationReport
from catalog.errors import EventsError

__all__ = [
    "ERASED",
    "Tombstones",
    "digest_of",
    "drop_erased",
    "latest_tombstones",
    "read_kept_events",
    "read_tombstones",
    "tombstone_files",
    "tombstones_beside",
    "write_tombstones",
]

ERASED = "event of an erased user"
MAX_LINKS = 40
"""Links one behind the other that Linux follows."""

Tombstones = Mapping[str, int]
"""SHA-256 of a user's id, in hexadecimal → when the user was erased, Unix ms."""


def digest_of(user: str) -> str:
    """What stands for an erased user."""
    return hashlib.sha256(user.encode()).hexdigest()


def tombstones_beside(events: Path) -> Path:
    """Where the tombstones that belong to a file of events stand, if there are any."""
    return events.with_name(f"{Path(bare_name(events)).stem}.erased.json")


def read_tombstones(path: Path) -> dict[str, int]:
    """Raises EventsError for a file that is missing, or no list of tombstones."""
    try:
        rows = orjson.loads(path.read_bytes())
        latest: dict[str, int] = {}
        for row in rows:
            digest, erased_at = _digest(row["sha256"]), int(row["erased_at"])
            latest[digest] = max(erased_at, latest.get(digest, erased_at))
        return latest
    except OSError as fault:
        raise EventsError(
            f"{path}: cannot be read ({fault.strerror}): restore it, or let user {os.geteuid()} read it"
        ) from fault
    except (ValueError, TypeError, KeyError) as fault:
        raise EventsError(
            f"{path}: is no list of {{'sha256': …, 'erased_at': …}} ({fault}): "
            "restore it, or remove it and write it again with `gemserve export events`"
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


def latest_tombstones(*several: Tombstones) -> dict[str, int]:
    """All of them as one; of a user who was erased more than once the last erasure counts."""
    latest: dict[str, int] = {}
    for tombstones in several:
        for digest, erased_at in tombstones.items():
            latest[digest] = max(erased_at, latest.get(digest, erased_at))
    return latest


def tombstone_files(events: Sequence[Path], erased: Path | None = None) -> list[Path]:
    """The files of tombstones that count for files of events: those beside them, where there are any, and `erased`.

    Raises EventsError where `erased` does not exist, and where one beside the events is a link that leads nowhere.
    """
    if erased is not None and not erased.is_file():
        raise EventsError(f"{erased}: there is no such file of erased users; `gemserve export events` writes one")
    named = (tombstones_beside(name) for file in events for name in _names(file))
    beside = [tombstones for tombstones in named if os.path.lexists(tombstones)]
    for tombstones in beside:
        if not tombstones.is_file():
            raise EventsError(f"{tombstones}: is no file, or a link that leads to none; put the erased users back")
    return list(dict.fromkeys(beside if erased is None else [*beside, erased]))


def _names(file: Path) -> list[Path]:
    """The file's name, and where it is a link the name of every further link, and of the file at their end."""
    names = [file]
    while names[-1].is_symlink() and len(names) <= MAX_LINKS:
        names.append(names[-1].parent / names[-1].readlink())
    return names


def read_kept_events(
    files: Sequence[Path], tombstones: Sequence[Path], *, marked: bool = False
) -> tuple[pa.Table, ValidationReport]:
    """The events to train on: those of all files in one table, without those of erased users.

    files: at least one. tombstones: the files that `tombstone_files` names. marked: as `unique_events` takes it.
    Rows are checked, merged and sorted as `catalog.data.events.read_events` does it for one file. Events of erased
    users are omissions of the report, under ERASED. They go before repetitions do: an event that came again after its
    user was erased is kept. Raises EventsError, for a file of tombstones too.
    """
    erased = latest_tombstones(*map(read_tombstones, tombstones))
    parts: list[pa.Table] = []
    reports: list[ValidationReport] = []
    for file in files:
        events, report = read_sound_events(file, named=len(files) > 1)
        kept = drop_erased(events, erased)
        report.count(ERASED, len(events) - len(kept), fault=False)
        parts.append(kept)
        reports.append(report)
    whole, *others = reports
    for other in others:
        whole.merge(other)
    return unique_events(parts, whole, marked=marked), whole


def drop_erased(events: pa.Table, tombstones: Tombstones) -> pa.Table:
    """The events, in their order, without those that came before the user, or the session, was erased."""
    if not tombstones or len(events) == 0:
        return events
    erased_at_E = _erased_at(events["user_id"], tombstones)
    if RECORDED_AS in events.column_names:
        erased_at_E = np.maximum(erased_at_E, _erased_at(events[RECORDED_AS], tombstones))
    return events.filter(pa.array(_came_at(events) > erased_at_E))


def _erased_at(ids: pa.ChunkedArray, tombstones: Tombstones) -> NDArray[np.int64]:
    """Of every row when its id was erased, -1 where it was not."""
    users = encoded(ids)
    erased_at_U = [tombstones.get(digest_of(name), -1) for name in users.dictionary.to_pylist()]
    rows_E = users.indices.fill_null(len(erased_at_U)).to_numpy()
    erased_at_E: NDArray[np.int64] = np.array([*erased_at_U, -1], np.int64)[rows_E]
    return erased_at_E


def _came_at(events: pa.Table) -> NDArray[np.int64]:
    times = events["timestamp"]
    if RECORDED_AT in events.column_names:
        times = pc.coalesce(events[RECORDED_AT], times)
    moments: NDArray[np.int64] = times.to_numpy()
    return moments


def _digest(value: Any) -> str:
    if not (isinstance(value, str) and len(value) == 64 and set(value) <= set("0123456789abcdef")):
        raise ValueError(f"sha256 {value!r} is no SHA-256 in hexadecimal")
    return value
