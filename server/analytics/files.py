"""The files of analytics: Parquet by day, which DuckDB reads.

    <folder>/answers/day=2026-11-28/<place>.parquet     one part for what was read at a time
    <folder>/events/day=2026-11-28/<place>.parquet
    <folder>/position.json                              up to where all streams are in the files

A part is named by where the streams stood before it, so that writing it again, after a crash before the position was
written, replaces it. One process writes at a time; readers see whole parts only.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from server.analytics.records import ANSWERS, EVENTS
from server.storage.protocol import AnalyticsBatch

__all__ = ["AnalyticsFiles"]

KINDS = {"answers": ANSWERS, "events": EVENTS}
POSITION = "position.json"
MAX_PARTS = 60
"""Parts of a day, of which more become one."""
NEW, OLD = ".new", ".old"
"""Behind the name of a day's folder while its parts become one."""


class AnalyticsFiles:
    """Writes the files. Everything here is for threads."""

    def __init__(self, folder: Path) -> None:
        """Makes the folder, with an empty part of each kind. Raises OSError."""
        self.folder = folder
        for kind, schema in KINDS.items():
            (folder / kind).mkdir(parents=True, exist_ok=True)
            self._repair(folder / kind)
            first = folder / kind / "day=1970-01-01" / "none.parquet"
            if not first.exists():
                _write(schema.empty_table(), first)

    def position(self) -> Mapping[str, str]:
        """Up to where the streams are in the files; empty before the first part. Raises OSError and ValueError."""
        path = self.folder / POSITION
        if not path.exists():
            return {}
        found = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(found, dict):
            raise ValueError(f"{path} is damaged: move it away, and answers are counted from then on")
        return {str(name): str(place) for name, place in found.items()}

    def add(self, before: Mapping[str, str], batch: AnalyticsBatch) -> bool:
        """Write what came after a position, and then take back what erased users did.

        False, and nothing is written, where another process has gone on from that position: this one was taken for
        dead meanwhile.
        """
        if self.position() != before:
            return False
        name = hashlib.blake2b(json.dumps(dict(before), sort_keys=True).encode(), digest_size=10).hexdigest()
        for kind, rows in (("answers", batch.answers), ("events", batch.events)):
            for day, own in _by_day(rows).items():
                path = self.folder / kind / f"day={day}" / f"{name}.parquet"
                if path.parent.exists():
                    self._merge(path.parent, besides=path)
                _write(pa.Table.from_pylist(own, KINDS[kind]), path)
        self._erase(batch.erased)
        temporary = self.folder / f".{POSITION}"
        temporary.write_text(json.dumps(dict(batch.position)), encoding="utf-8")
        temporary.replace(self.folder / POSITION)
        return True

    def drop_before(self, day: date) -> None:
        """Forget all days before one."""
        for folder in self._days():
            if "1970-01-01" < folder.name.removeprefix("day=") < day.isoformat():
                shutil.rmtree(folder)

    def _days(self) -> Iterator[Path]:
        for kind in KINDS:
            yield from sorted((self.folder / kind).glob("day=????-??-??"))

    def _erase(self, users: Sequence[str]) -> None:
        if not users:
            return
        gone = pa.array(users, pa.string())
        for part in (part for folder in self._days() for part in sorted(folder.glob("*.parquet"))):
            own = pq.read_table(part, columns=["user"])["user"]
            if pc.any(pc.is_in(own, gone)).as_py():
                table = pq.ParquetFile(part).read()
                _write(table.filter(pc.invert(pc.is_in(table["user"], gone))), part)

    def _merge(self, folder: Path, besides: Path) -> None:
        """Many parts of a day become one, by way of a folder that takes the place of theirs.

        besides: a part that is about to be written, perhaps again.
        """
        besides.unlink(missing_ok=True)
        parts = sorted(folder.glob("*.parquet"))
        if len(parts) <= MAX_PARTS:
            return
        new, old = (folder.with_name(folder.name + end) for end in (NEW, OLD))
        shutil.rmtree(new, ignore_errors=True)
        _write(pa.concat_tables([pq.ParquetFile(part).read() for part in parts]), new / "all.parquet")
        folder.rename(old)
        new.rename(folder)
        shutil.rmtree(old)

    def _repair(self, kind: Path) -> None:
        """What a crash while parts became one has left behind."""
        for old in kind.glob(f"day=*{OLD}"):
            folder = old.with_name(old.name.removesuffix(OLD))
            if folder.exists():
                shutil.rmtree(old)
            else:
                old.rename(folder)
        for new in kind.glob(f"day=*{NEW}"):
            shutil.rmtree(new)


def _by_day(rows: Sequence[Mapping[str, Any]]) -> Mapping[str, list[Mapping[str, Any]]]:
    days: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for row in rows:
        moment = row.get("recorded_at", row["at"])
        days[datetime.fromtimestamp(moment / 1000, UTC).date().isoformat()].append(row)
    return days


def _write(table: pa.Table, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    pq.write_table(table, temporary, compression="zstd")
    temporary.replace(path)
