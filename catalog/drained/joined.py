"""Joins the parts of a drained folder to the one file that an export of the same events would be.

Rows, and their order, are those of `gemserve export events`; what that leaves out besides (events of erased users, and
those whose id came again) readers of events leave out, by the tombstones beside the file. So it is the same file again
whatever the parts were joined to meanwhile, and training from it can be resumed.
"""

from __future__ import annotations

import glob
import os
import shutil
import uuid
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from catalog.bundle.disk import disk_full_reason
from catalog.bundle.drafts import draft_folder, remove_abandoned
from catalog.data.events import EVENTS_SCHEMA
from catalog.data.tombstones import read_tombstones, tombstones_beside, write_tombstones
from catalog.drained.aliases import owner_of, read_aliases
from catalog.drained.layout import TOMBSTONES, parts_below, reading, root_of
from catalog.errors import EventsError

__all__ = ["event_files", "joined_files", "names_several", "scratch_folder"]

SCHEMA = pa.schema([*EVENTS_SCHEMA.columns, *EVENTS_SCHEMA.optional])
GROUP = 50_000  # events of a row group
MEMORY = "1GB"
THREADS = 2
IN_ORDER = r"""
    SELECT e.* EXCLUDE (user_id, recorded_place, filename), coalesce(a.user_id, e.user_id) AS user_id,
        CASE WHEN a.user_id IS NOT NULL THEN e.user_id END AS recorded_as
    FROM read_parquet(?, filename = true, hive_partitioning = false) e LEFT JOIN aliases a ON a.session = e.user_id
    ORDER BY timestamp, recorded_at, recorded_place,
        regexp_extract(filename, 'bucket=(?:[0-9]+\.)?([0-9]+)/[^/]*$', 1)::INTEGER
"""


@contextmanager
def event_files(named: Sequence[Path]) -> Iterator[list[Path]]:
    """A context with the files that arguments for files of events name; joined ones are in a temporary folder.

    named, and what is raised: as `joined_files` has it.
    """
    if not names_several(named):
        yield list(named)
        return
    with TemporaryDirectory(prefix="gemserve-events-") as folder:
        yield joined_files(named, Path(folder))


@contextmanager
def scratch_folder(parent: Path) -> Iterator[Path]:
    """A context with an empty folder; one that a process left there when it was killed goes."""
    remove_abandoned(parent)
    with draft_folder(parent, f"events-{uuid.uuid4().hex}") as (draft, _):
        try:
            yield draft
        finally:
            shutil.rmtree(draft, ignore_errors=True)


def names_several(named: Sequence[Path]) -> bool:
    """Whether any of the arguments is a pattern, or is or lies within a drained folder."""
    return any(_is_pattern(path) or root_of(path) is not None for path in named)


def joined_files(named: Sequence[Path], folder: Path) -> list[Path]:
    """The files that arguments name, where all that are of one drained folder are one file, which is written.

    named: files of events; drained folders, days, buckets or parts of them; and patterns of any of these.
    folder: for what is joined, with the tombstones beside it.
    Raises EventsError for a pattern that nothing fits, and for parts that cannot be read or are not there.
    """
    places: dict[Path, None] = {}
    inside: dict[Path, list[Path]] = defaultdict(list)
    for path in (found for given in named for found in _matching(given)):
        root = root_of(path)
        places[path if root is None else root] = None
        if root is not None:
            inside[root].append(path)
    return [_join(place, inside[place], folder / f"events-{number}.parquet") if place in inside else place
            for number, place in enumerate(places, start=1)]  # fmt: skip


def _is_pattern(path: Path) -> bool:
    return glob.has_magic(str(path)) and not os.path.lexists(path)


def _matching(path: Path) -> list[Path]:
    if not _is_pattern(path):
        return [path]
    found = sorted(glob.glob(str(path)))  # noqa: PTH207 - of paths that are not below a folder
    if not found:
        raise EventsError(f"{path}: nothing fits this pattern")
    return [Path(name) for name in found]


def _join(root: Path, paths: list[Path], out: Path) -> Path:
    with reading(root):
        parts = parts_below(root, paths)
        if not parts and root not in {path.absolute() for path in paths}:
            raise EventsError(f"{' and '.join(map(str, paths))}: no part of the drained folder {root} is there")
        tombstones = root / TOMBSTONES
        if tombstones.exists():
            write_tombstones(read_tombstones(tombstones), tombstones_beside(out))
        try:
            _write(parts, read_aliases(root), out)
        except (duckdb.Error, pa.ArrowException) as error:
            if disk_full_reason(error) is not None:
                raise
            reason = str(error).splitlines()[0]
            raise EventsError(f"{root}: a part cannot be read to its end ({reason}): copy it again") from error
    return out


def _write(parts: Sequence[Path], aliases: dict[str, str], out: Path) -> None:
    with pq.ParquetWriter(out, SCHEMA, compression="zstd") as writer:
        if not parts:
            return
        with TemporaryDirectory(prefix=".sort-", dir=out.parent) as scratch:
            config: dict[str, str | bool | int | float | list[str]] = {
                "memory_limit": MEMORY,
                "threads": THREADS,
                "temp_directory": scratch,
                "preserve_insertion_order": False,
            }
            with duckdb.connect(str(Path(scratch) / "events.duckdb"), config=config) as connection:
                connection.execute("SET enable_progress_bar = false")  # which it draws on the standard output
                owners = {"session": list(aliases), "user_id": [owner_of(name, aliases) for name in aliases]}
                connection.register("aliases", pa.table(owners, pa.schema(dict.fromkeys(owners, pa.string()))))
                found = connection.sql(IN_ORDER, params=[[str(part) for part in parts]])
                for batch in found.to_arrow_reader(GROUP):
                    writer.write_table(pa.Table.from_batches([batch]).select(SCHEMA.names).cast(SCHEMA), GROUP)
