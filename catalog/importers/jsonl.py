"""A shop's own data: `items.jsonl` and `events.jsonl`, or both as `.parquet`.

JSON may come as programs write it: a record a line, in one array, or one after the other, as `.jsonl`, `.ndjson` or
`.json`, compressed (`.gz`, `.zst`, `.bz2`, `.xz`), in UTF-8 or UTF-16, with a byte-order mark, with Python's `NaN`,
and as MongoDB and Elasticsearch dump them. `.parquet` may be a folder of files, as Spark writes one table.

The modules `catalog.data.items` and `catalog.data.events` say which columns they have. Users whom an
`events.erased.json` beside the events names are left out, and that file goes along to the destination, where training
looks for it (`catalog.data.tombstones`).
"""

from dataclasses import replace
from pathlib import Path

from catalog.data.items import load_items
from catalog.data.reading.names import COMPRESSED, JSON_NAMES
from catalog.data.tombstones import latest_tombstones, read_kept_events, read_tombstones, tombstone_files
from catalog.errors import DatasetError
from catalog.importers.dataset import Dataset, assemble

__all__ = ["read_jsonl"]


def read_jsonl(source: Path) -> Dataset:
    """The items and events in the folder `source`.

    Raises DatasetError if a file is missing, and ItemsError or EventsError if one is unusable.
    """
    items, items_report = load_items(_find(source, "items"))
    path = _find(source, "events")
    files = tombstone_files([path])
    events, events_report = read_kept_events([path], files, marked=True)
    dataset = assemble(items, events, items_report, events_report)
    return replace(dataset, tombstones=latest_tombstones(*map(read_tombstones, files)))


def _find(source: Path, name: str) -> Path:
    names = [f"{name}{suffix}{compressed}" for suffix in JSON_NAMES for compressed in ("", *COMPRESSED)]
    there = [path for path in (source / name for name in [*names, f"{name}.parquet"]) if path.exists()]
    if not there:
        raise DatasetError(f"{source}: expected a file {name}.jsonl or {name}.parquet, and there is neither")
    if len(there) > 1:
        both = " and ".join(path.name for path in there)
        raise DatasetError(f"{source}: both {both} are there; keep the one you mean")
    return there[0]
