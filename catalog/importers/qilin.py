"""Qilin: search and recommendation sessions of Xiaohongshu (arXiv 2503.00501; github.com/RED-Search/Qilin).

The importer reads `notes.csv`, the impressions in `search.csv` or in `search_train.csv` and `search_test.csv`, and
those in `recommendation….csv` likewise, plain or gzipped. Train and test are read as one log, because this project has
own splits. `user_feat.csv` is not read, because there is no place for features of users.

The files are data frames that were written as CSV with their arrays. The importer assumes:
- `notes`: `note_idx` (what impressions refer to), `note_title`, `note_content`, `note_type`, `taxonomy1_id` …
  `taxonomy3_id`. The taxonomy is opaque identifiers, so it is kept in the column `taxonomy`, out of the item's text.
- impressions: `user_idx`, `search_idx` or `request_idx`, `query`, and `search_result_details_with_idx` or
  `rec_result_details_with_idx`: printed dicts without commas between them and with bare `nan`s; each has `note_idx`,
  `click`, and `search_timestamp` (seconds) or `request_timestamp` (milliseconds).
- `query` in the recommendation files is no query of the person but titles of recently clicked notes, so it is ignored.
- `recent_clicked_note_idxs` has no times and overlaps from request to request, so it is ignored.

A clicked impression becomes an event of type click, with the seconds spent on the note in the column `page_time`.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeGuard

import pyarrow as pa
import pyarrow.compute as pc

from catalog.data.events import EventType
from catalog.data.validation_report import LINE, ValidationReport
from catalog.errors import DatasetError
from catalog.importers.dataset import Dataset, assemble
from catalog.importers.delimited import batches, find_file
from catalog.importers.records import parse_record

__all__ = ["read_qilin"]


@dataclass(frozen=True, slots=True)
class _Log:
    """The columns of one kind of impressions."""

    name: str
    details: str
    request: str
    time: str
    queried: bool


_LOGS = (
    _Log("search", "search_result_details_with_idx", "search_idx", "search_timestamp", queried=True),
    _Log("recommendation", "rec_result_details_with_idx", "request_idx", "request_timestamp", queried=False),
)
_EVENT_SCHEMA = pa.schema(
    {
        "user_id": pa.string(),
        "item_id": pa.string(),
        "timestamp": pa.int64(),
        "type": pa.string(),
        "query": pa.string(),
        "request_id": pa.string(),
        "page_time": pa.float64(),
    }
)
_NOTE_COLUMNS = (
    "note_idx",
    "note_title",
    "note_content",
    "note_type",
    "taxonomy1_id",
    "taxonomy2_id",
    "taxonomy3_id",
)
_IN_SECONDS = 10**11
"""Unix times below this are seconds, because as milliseconds they would be before March 1973."""


def read_qilin(source: Path, *, all_items: bool = False) -> Dataset:
    """The notes and clicks in the folder `source`.

    all_items: whether notes without a click are kept.
    Raises DatasetError if a file is missing or has other columns than Qilin's.
    """
    notes = find_file(source, "notes.csv")
    items_report, events_report = ValidationReport("items"), ValidationReport("events")
    rows = [row for log in _LOGS for path in _files(source, log) for row in _clicks(path, log, events_report)]
    events = pa.Table.from_pylist(rows, schema=_EVENT_SCHEMA)
    wanted = None if all_items else pc.unique(events["item_id"])
    return assemble(_notes(notes, wanted, items_report), events, items_report, events_report)


def _files(source: Path, log: _Log) -> list[Path]:
    found: list[Path] = []
    for name in (log.name, f"{log.name}_train", f"{log.name}_test"):
        found.extend(path for path in (source / f"{name}.csv", source / f"{name}.csv.gz") if path.is_file())
    if not found:
        raise DatasetError(f"{source}: expected {log.name}.csv, or {log.name}_train.csv and {log.name}_test.csv")
    return found


def _clicks(path: Path, log: _Log, report: ValidationReport) -> Iterator[dict[str, Any]]:
    """The clicked impressions of a file, each once. All others are counted."""
    columns = ["user_idx", log.request, log.details] + (["query"] if log.queried else [])
    requests = ValidationReport("requests", place=f"{path.name} record")
    seen: set[tuple[Any, ...]] = set()
    for table in batches(path, columns, requests):
        for row in table.to_pylist():
            where = f"{path.name} record {row[LINE]}"
            for impression in _impressions(row[log.details], where, report):
                event = _event(impression, row, log, where, report)
                key = (*event.values(),) if event else ()
                if event and key in seen:
                    report.count("click listed twice", 1, [f"{where}: note_idx={event['item_id']}"], fault=False)
                elif event:
                    seen.add(key)
                    yield event
    requests.read = requests.broken  # requests are no events, but an unreadable one counts as a broken event
    report.merge(requests)


def _impressions(cell: str, where: str, report: ValidationReport) -> Iterator[dict[str, Any]]:
    dicts = re.findall(r"\{[^{}]*\}", cell)
    if not dicts and re.sub(r"[\[\]\s]", "", cell):
        report.read += 1
        report.count("impressions that cannot be read", 1, [f"{where}: {cell[:60]!r}"])
    for text in dicts:
        report.read += 1
        impression = parse_record(re.sub(r"\bnan\b", "None", text))
        if impression is None or "note_idx" not in impression or "click" not in impression:
            report.count("impression that cannot be read", 1, [f"{where}: {text[:60]!r}"])
        else:
            yield impression


def _event(
    impression: dict[str, Any], row: dict[str, Any], log: _Log, where: str, report: ValidationReport
) -> dict[str, Any] | None:
    if impression["click"] != 1:
        report.count("impression without a click", 1, fault=False)
        return None
    time = impression.get(log.time)
    if not _is_number(time):
        report.count("broken timestamp", 1, [f"{where}: {log.time}={time!r}"])
        return None
    query = _known(row["query"]) if log.queried else None
    if log.queried and query is None:
        report.count("search without a query", 1, [f"{where}: note_idx={impression['note_idx']}"])
        return None
    seconds = impression.get("page_time")
    return {
        "user_id": _identifier(row["user_idx"]),
        "item_id": _identifier(impression["note_idx"]),
        "timestamp": round(time * 1000) if time < _IN_SECONDS else round(time),
        "type": EventType.CLICK.value,
        "query": query,
        "request_id": f"{log.name}-{_identifier(row[log.request])}",
        "page_time": float(seconds) if _is_number(seconds) else None,
    }


def _is_number(value: Any) -> TypeGuard[float]:
    """Whether a value is a number that an int64 reaches, also in thousandths."""
    return type(value) in {int, float} and abs(value) < 2**52  # also of NaN


def _notes(path: Path, wanted: pa.Array | None, report: ValidationReport) -> pa.Table:
    mine = ValidationReport("items", place=f"{path.name} record")
    parts: list[dict[str, Any]] = []
    for batch in batches(path, _NOTE_COLUMNS, mine):
        notes = batch
        if wanted is not None:
            identifiers = pc.replace_substring_regex(batch["note_idx"], r"\.0$", "")
            unused = pc.invert(pc.is_in(identifiers, wanted))
            notes = mine.drop(batch, unused, "note nobody clicked", show=("note_idx",), fault=False)
        parts.extend(_note(row) for row in notes.to_pylist())
    report.merge(mine)
    schema = pa.schema(
        {
            "item_id": pa.string(),
            "title": pa.string(),
            "description": pa.string(),
            "note_type": pa.string(),
            "taxonomy": pa.list_(pa.string()),
        }
    )
    return pa.Table.from_pylist(parts, schema=schema)


def _note(row: dict[str, Any]) -> dict[str, Any]:
    taxonomy = (_known(row[f"taxonomy{level}_id"]) for level in (1, 2, 3))
    kind = _known(row["note_type"])
    return {
        "item_id": _identifier(row["note_idx"]),
        "title": _known(row["note_title"]),
        "description": _known(row["note_content"]),
        "note_type": {"1": "pictures", "2": "video"}.get(_identifier(kind), kind) if kind else None,
        "taxonomy": [identifier for identifier in taxonomy if identifier],
    }


def _known(text: str | None) -> str | None:
    """The text of a cell, or None for an empty one or a printed missing value."""
    text = (text or "").strip()
    return None if text in {"", "nan", "None", "NaN"} else text


def _identifier(value: Any) -> str:
    """An id as text; a whole number from a float column ("17.0") as a whole number."""
    return str(value).strip().removesuffix(".0")
