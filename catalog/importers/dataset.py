"""The result of every importer: items and events that fit together, with a validation report on each."""

import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa

from catalog.data.events import clean_events, drop_unknown_items, write_events
from catalog.data.items import clean_items, write_items
from catalog.data.tombstones import (
    Tombstones,
    latest_tombstones,
    read_tombstones,
    tombstone_files,
    tombstones_beside,
    write_tombstones,
)
from catalog.data.validation_report import ValidationReport
from catalog.errors import DatasetError

__all__ = ["EVENTS_FILE", "ITEMS_FILE", "Dataset", "assemble", "write_dataset"]

ITEMS_FILE = "items.parquet"
EVENTS_FILE = "events.parquet"


@dataclass(frozen=True, slots=True)
class Dataset:
    """Sound items, sound events of these items sorted by user and time, and the reports on both.

    tombstones: of users who were erased, whose events are not among these.
    """

    items: pa.Table
    events: pa.Table
    items_report: ValidationReport
    events_report: ValidationReport
    tombstones: Tombstones = field(default_factory=dict)

    @property
    def broken(self) -> int:
        """Number of broken records in the source."""
        return self.items_report.broken + self.events_report.broken

    def __str__(self) -> str:
        return f"{self.items_report}\n{self.events_report}"


def assemble(
    items: pa.Table, events: pa.Table, items_report: ValidationReport, events_report: ValidationReport
) -> Dataset:
    """The dataset of the sound rows of both tables. Dropped rows are added to the reports.

    Raises DatasetError if there is no sound item or no sound event, or if more than half of either are broken.
    """
    items = clean_items(items, items_report)
    events = clean_events(drop_unknown_items(events, items["item_id"], events_report), events_report)
    dataset = Dataset(items, events, items_report, events_report)
    for report, table in ((items_report, items), (events_report, events)):
        why = [report.error] if report.error else []
        if len(table) == 0:
            why.insert(0, f"there are no sound {report.subject} to import")
        if why:
            raise DatasetError("\n".join([*why, str(dataset)]))
    return dataset


def write_dataset(dataset: Dataset, destination: Path, *, strict: bool = False) -> None:
    """Write `items.parquet` and `events.parquet` into the folder `destination`, both or neither.

    Tombstones are written beside the events, with those that stand there already: an erasure is never undone.

    Raises DatasetError, before anything is written, if `destination` is a file, or if the source has broken records and
    `strict` is true.
    """
    if strict and dataset.broken:
        raise DatasetError(
            f"--strict: broken records: {dataset.broken:,} (see the report), so nothing was written. "
            "Correct them, or leave --strict out to import without them."
        )
    if destination.exists() and not destination.is_dir():
        raise DatasetError(f"{destination} is a file; the destination must be a folder")
    destination.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".import-", dir=destination) as staging:
        write_items(dataset.items, Path(staging, ITEMS_FILE))
        write_events(dataset.events, Path(staging, EVENTS_FILE))
        events = destination / EVENTS_FILE
        tombstones = latest_tombstones(dataset.tombstones, *map(read_tombstones, tombstone_files([events])))
        if tombstones:
            write_tombstones(tombstones, tombstones_beside(events))
        for name in (ITEMS_FILE, EVENTS_FILE):
            Path(staging, name).replace(destination / name)
