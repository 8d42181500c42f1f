"""Validation reports: how many records a reader met, how many it kept, and why it dropped the others.

A *fault* is a broken record, such as a duplicate id or a timestamp that is no number; strict readers refuse them. An
*omission* is a sound record that is left out by choice, such as a junk tag or a film that nobody rated.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

__all__ = ["LINE", "MARK", "Tally", "ValidationReport", "as_in_file", "shown", "unmarked"]

MARK = "@"
"""Columns whose names begin so are for reports alone: `@timestamp` holds the times of a file that could not be read."""

LINE = f"{MARK}line"
"""The column with a record's line or row number while the record is checked. It is never written to a file."""

SAMPLE = 100  # rows among which examples are sought
MAX_EXAMPLES = 3
"""Examples that are kept of every reason."""
WARNING_SHARE = 0.01
"""Share of the records whose loss is worth a warning."""
ERROR_SHARE = 0.5
"""Share of the records whose loss tells that a file is not what it was taken for."""


@dataclass(slots=True)
class Tally:
    """How many records were dropped for one reason, and the first of them.

    row: gives the first as it stands in its file, where that is known.
    """

    count: int = 0
    examples: list[str] = field(default_factory=list)
    row: Callable[[], str] | None = None


@dataclass(slots=True)
class ValidationReport:
    """The counts of one kind of record, which readers and importers fill.

    subject: "items" or "events".
    place: written before a record's number in an example, such as "line" or "ratings.csv.gz line".
    read: number of records.
    faults, omissions: by reason.
    notes: remarks on the whole file.
    row_at: gives the record of a number as it stands in the file.
    """

    subject: str
    place: str = "line"
    read: int = 0
    faults: dict[str, Tally] = field(default_factory=dict)
    omissions: dict[str, Tally] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    row_at: Callable[[int], str] | None = field(default=None, repr=False, compare=False)

    @property
    def broken(self) -> int:
        """How many records were dropped because something is wrong with them."""
        return sum(tally.count for tally in self.faults.values())

    @property
    def dropped(self) -> int:
        """Number of records that were dropped: faults and omissions."""
        return self.broken + sum(tally.count for tally in self.omissions.values())

    @property
    def kept(self) -> int:
        """Number of records that were kept."""
        return self.read - self.dropped

    @property
    def warning(self) -> str | None:
        """What to tell people where more than a hundredth of the records is broken; None where it is less."""
        if self.broken <= self.read * WARNING_SHARE:
            return None
        share = self.broken / self.read if self.read else 1.0
        return f"{self.broken:,} of {self.read:,} {self.subject} ({share:.1%}) are lost, because they are broken"

    @property
    def error(self) -> str | None:
        """What is wrong where more than half of the records are broken, with an example; None where it is less."""
        if self.broken <= self.read * ERROR_SHARE:
            return None
        reason, tally = max(self.faults.items(), key=lambda fault: fault[1].count)
        row = tally.row() if tally.row is not None else None
        shown = [f"{tally.count:,} × {reason}", *tally.examples[:1], *([f"as it stands there: {row}"] if row else [])]
        return "\n  ".join([f"{self.warning}; nothing was imported, mend the file", *shown])

    def omitted(self, reason: str) -> int:
        """How many records were left out for a reason that is no fault."""
        return self.omissions[reason].count if reason in self.omissions else 0

    def count(
        self,
        reason: str,
        number: int,
        examples: Sequence[str] = (),
        *,
        fault: bool = True,
        row: Callable[[], str] | None = None,
    ) -> None:
        """Add `number` records that were dropped for `reason`.

        fault: whether they are faults or omissions.
        row: gives the first of them as it stands in its file.
        """
        if number == 0:
            return
        tally = (self.faults if fault else self.omissions).setdefault(reason, Tally())
        tally.count += number
        tally.row = tally.row or row
        tally.examples.extend(examples[: MAX_EXAMPLES - len(tally.examples)])

    def drop(self, table: pa.Table, bad: Any, reason: str, *, show: Sequence[str], fault: bool = True) -> pa.Table:
        """Drop the bad rows of a table and count them.

        bad: a boolean arrow array; null counts as true.
        show: the columns that examples show.
        """
        bad = pc.fill_null(bad, True)
        number = pc.sum(bad).as_py() or 0
        if number == 0:
            return table
        wanted = [name for name in (*show, *(MARK + name for name in show), LINE) if name in table.column_names]
        sample = table.select(wanted).filter(bad).slice(0, SAMPLE).to_pylist()
        examples = list(dict.fromkeys(self._example(row, show) for row in sample))
        line = sample[0].get(LINE)
        row = partial(self.row_at, line) if self.row_at is not None and line is not None else None
        self.count(reason, number, examples, fault=fault, row=row)
        return table.filter(pc.invert(bad))

    def merge(self, other: "ValidationReport") -> None:
        """Add the counts of another report, such as that of another file."""
        self.read += other.read
        self.notes.extend(other.notes)
        for mine, theirs in ((self.faults, other.faults), (self.omissions, other.omissions)):
            for reason, tally in theirs.items():
                self.count(reason, tally.count, tally.examples, fault=mine is self.faults, row=tally.row)

    def fault_lines(self) -> Iterator[str]:
        """A line for every kind of fault, and a line for every example of it."""
        return self._lines(self.faults, "")

    def __str__(self) -> str:
        head = f"{self.subject}: {self.read:,} read, {self.kept:,} kept, {self.dropped:,} dropped"
        parts = [head, *self._lines(self.faults, ""), *self._lines(self.omissions, " (left out by choice)")]
        return "\n".join([*parts, *(f"  note: {note}" for note in self.notes)])

    def _lines(self, tallies: dict[str, Tally], remark: str) -> Iterator[str]:
        for reason, tally in tallies.items():
            yield f"  {tally.count:,} × {reason}{remark}"
            yield from (f"      {example}" for example in tally.examples)

    def _example(self, row: dict[str, Any], show: Sequence[str]) -> str:
        place = f"{self.place} {row[LINE]}: " if row.get(LINE) is not None else ""
        return place + ", ".join(f"{name}={_shown_of(row, name)}" for name in show)


def as_in_file(column: pa.ChunkedArray, wanted: pa.ChunkedArray) -> pa.ChunkedArray:
    """The first of the wanted values of a column as text, as they stand in the file; all others are null."""
    rows = np.flatnonzero(pc.fill_null(wanted, False).to_numpy())[:SAMPLE]
    texts: list[str | None] = [None] * len(column)
    for row in rows.tolist():
        texts[row] = shown(column.slice(row, 1))
    return pa.chunked_array([pa.array(texts, pa.string())])


def shown(value: pa.ChunkedArray) -> str:
    """A column of one value as text, also where Python has no such value."""
    try:
        return _short(value[0].as_py())
    except (pa.ArrowException, ValueError, OverflowError):
        return _beyond_python(value.combine_chunks())


def _beyond_python(value: pa.Array) -> str:
    """A moment as text, or as its number where arrow cannot write it either."""
    try:
        text = str(value.cast(pa.string())[0].as_py())
        if "out of range" not in text:
            return text
    except pa.ArrowException:
        pass
    width = value.type.bit_width
    return str(value.view(pa.int32() if width == 32 else pa.int64())[0].as_py()) if width in {32, 64} else "a value"


def unmarked(table: pa.Table) -> pa.Table:
    """The table without the columns that are for reports."""
    marked = [name for name in table.column_names if name.startswith(MARK)]
    return table.drop_columns(marked) if marked else table


def _shown_of(row: dict[str, Any], name: str) -> str:
    in_file: str | None = row.get(MARK + name)
    return in_file if in_file is not None else _short(row[name])


def _short(value: Any) -> str:
    text = str(value) if isinstance(value, Decimal | date) else repr(value)
    return text if len(text) <= 60 else f"{text[:57]}…"
