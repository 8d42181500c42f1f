"""Writes a drained folder (`catalog/drained/layout.py`); a crash at any moment neither loses nor doubles an event.

Every write is one of `_drain.json`: it names the new parts, which are on the disk as drafts by then, those whose place
they take, and the places in the log up to which events are in the parts from then on. Drafts are renamed and parts
removed afterwards; who opens the folder does so again, for a write that was broken off.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from catalog.bundle.disk import fsync, lock
from catalog.drained import PART_SCHEMA, STATE, bucket_folder, hidden, no_reader, wait_for_readers
from server.cli.drain.state import State, read_state
from server.cli.export_events import People, Row
from server.core.errors import StartupError

__all__ = ["DrainedFolder", "open_folder"]

WRITER_LOCK = "_writer.lock"
GROUP = 50_000  # events of a row group
MAX_PARTS = 16
"""Parts of a bucket's day that has not ended, of which more become one."""


@contextmanager
def open_folder(root: Path) -> Iterator[DrainedFolder]:
    """A context with the folder, which is made. Raises StartupError where another process drains to it, and OSError."""
    root.mkdir(parents=True, exist_ok=True)
    with (root / WRITER_LOCK).open("ab") as stream:
        if not lock(stream):
            raise StartupError(f"another process drains to {root}: stop it, or name another folder")
        with no_reader(root):  # which makes the file that readers lock
            pass
        yield DrainedFolder(root)


class DrainedFolder:
    """The folder as its one writer has it. All paths of parts are relative to it."""

    def __init__(self, root: Path) -> None:
        """Completes a write that was broken off. Raises StartupError for what is damaged, and OSError."""
        self.root = root
        self.state: State | None = None
        self.recover()

    def recover(self) -> None:
        """Take what the disk says, after an error too."""
        self.state = read_state(self.root)
        if self.state is None:
            if next(self.root.glob("day=*"), None) is not None:
                raise StartupError(f"{self.root} has events and no {STATE}: put it back, or drain to another folder")
            return
        with wait_for_readers(self.root) if self.state.removed else nullcontext():
            self._complete(self.state)
        for draft in self.root.glob("day=*/bucket=*/.*.parquet"):
            draft.unlink()

    def append(self, rows: Mapping[str, Sequence[Row]], state: State) -> None:
        """Write events, and up to where they are in the parts. rows: by the tags of their buckets."""
        by_folder: dict[str, list[Row]] = defaultdict(list)
        for tag, own in rows.items():
            for row in own:
                by_folder[bucket_folder(_day_of(row.recorded_at), tag)].append(row)
        parts = [self._draft(folder, state, [_table(own)]) for folder, own in by_folder.items()]
        self.write(replace(state, parts=tuple(part for part in parts if part), removed=()))

    def write(self, state: State) -> None:
        """Make `state` the folder's. Its parts are there as drafts."""
        before = self.state
        made = replace(state, number=state.number + 1)
        draft = self.root / f".{STATE}"
        draft.write_bytes(made.as_json())
        fsync(draft)
        if read_state(self.root) != before:
            raise StartupError(f"another process drains to {self.root}, on another machine: stop one of them")
        draft.replace(self.root / STATE)
        fsync(self.root)
        self.state = made
        self._complete(made)

    def tidying(self, people: People, today: date) -> Iterator[None]:
        """Joins parts, and takes out erased users, a file a step. Ends early while somebody reads the folder."""
        for folder in sorted(self.root.glob("day=*/bucket=*")):
            ended = folder.parent.name < f"day={today.isoformat()}"
            parts = sorted(folder.glob("[!.]*.parquet"))
            if len(parts) > (1 if ended else MAX_PARTS):
                if not self._join(parts, people):
                    return
                yield
        asked = frozenset[str]() if self.state is None else self.state.erased
        if not asked:
            return
        for part in sorted(self.root.glob("day=*/bucket=*/[!.]*.parquet")):
            if _has_erased(part, people):
                if not self._join([part], people):
                    return
                yield
        if self.state is not None:
            self.write(replace(self.state, erased=self.state.erased - asked, parts=(), removed=()))

    def events_of(self, moment: int, tag: str) -> set[tuple[str, str]]:
        """User and event id of the events that came in a millisecond to a bucket."""
        found: set[tuple[str, str]] = set()
        for part in (self.root / bucket_folder(_day_of(moment), tag)).glob("[!.]*.parquet"):
            table = pq.read_table(part, columns=["user_id", "event_id"], filters=[("recorded_at", "==", moment)])
            found.update(zip(table["user_id"].to_pylist(), table["event_id"].to_pylist(), strict=True))
        return found

    def _join(self, parts: Sequence[Path], people: People) -> bool:
        """Whether one part without erased users has taken the place of some, which it has not while somebody reads."""
        state = self.state
        with no_reader(self.root) as alone:
            if alone and state is not None:
                folder = str(parts[0].parent.relative_to(self.root))
                made = self._draft(folder, state, _kept(parts, people))
                removed = tuple(str(part.relative_to(self.root)) for part in parts)
                self.write(replace(state, parts=(made,) if made else (), removed=removed))
        return alone

    def _draft(self, folder: str, state: State, tables: Iterable[pa.Table]) -> str | None:
        """Write a draft, and name its part; None without any event."""
        part = self.root / folder / f"{state.number + 1:010}.parquet"
        if not part.parent.exists():
            part.parent.mkdir(parents=True)
            fsync(part.parent.parent)
            fsync(self.root)
        draft, rows = hidden(part), 0
        with pq.ParquetWriter(draft, PART_SCHEMA, compression="zstd") as writer:
            for table in tables:
                rows += len(table)
                writer.write_table(table, GROUP)
        if not rows:
            draft.unlink()
            return None
        fsync(draft)
        fsync(draft.parent)
        return f"{folder}/{part.name}"

    def _complete(self, state: State) -> None:
        """What is left to do of a write; of one that is done nothing."""
        folders = set()
        for part in (self.root / name for name in state.parts):
            if hidden(part).exists():
                hidden(part).replace(part)
                folders.add(part.parent)
        for folder in folders:
            fsync(folder)
        for name in state.removed:
            (self.root / name).unlink(missing_ok=True)


def _day_of(moment: int) -> str:
    return datetime.fromtimestamp(moment / 1000, UTC).date().isoformat()


def _table(rows: Sequence[Row]) -> pa.Table:
    places = {name: Row._fields.index("place" if name == "recorded_place" else name) for name in PART_SCHEMA.names}
    columns: dict[str, Any] = {name: [row[place] for row in rows] for name, place in places.items()}
    return pa.table(columns, PART_SCHEMA)


def _kept(parts: Sequence[Path], people: People) -> Iterator[pa.Table]:
    for part in parts:
        with pq.ParquetFile(part) as file:
            for batch in file.iter_batches(GROUP):
                table = pa.Table.from_batches([batch])
                yield table.filter(pa.array(table["recorded_at"].to_numpy() > _erased_at(table["user_id"], people)))


def _has_erased(part: Path, people: People) -> bool:
    with pq.ParquetFile(part) as file:
        for batch in file.iter_batches(GROUP, columns=["user_id", "recorded_at"]):
            if (batch["recorded_at"].to_numpy() <= _erased_at(batch["user_id"], people)).any():
                return True
    return False


def _erased_at(names: pa.Array | pa.ChunkedArray, people: People) -> np.ndarray:
    """Of every row when its user was erased, -1 where it was not."""
    whole = names.combine_chunks() if isinstance(names, pa.ChunkedArray) else names
    users = whole.dictionary_encode()
    times = [people.erased_at(name) for name in users.dictionary.to_pylist()]
    erased_at_E: np.ndarray = np.array(times, np.int64)[users.indices.to_numpy()]
    return erased_at_E
