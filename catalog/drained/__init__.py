"""Folders of events by day and bucket, which `gemserve drain` writes, and what reads them as one file of events."""

from catalog.drained.aliases import owner_of, read_aliases, write_aliases
from catalog.drained.joined import event_files, joined_files, names_several, scratch_folder
from catalog.drained.layout import (
    ALIASES,
    PART_SCHEMA,
    STATE,
    TOMBSTONES,
    bucket_folder,
    hidden,
    no_reader,
    parts_below,
    parts_of,
    root_of,
    wait_for_readers,
)

__all__ = [
    "ALIASES",
    "PART_SCHEMA",
    "STATE",
    "TOMBSTONES",
    "bucket_folder",
    "event_files",
    "hidden",
    "joined_files",
    "names_several",
    "no_reader",
    "owner_of",
    "parts_below",
    "parts_of",
    "read_aliases",
    "root_of",
    "scratch_folder",
    "wait_for_readers",
    "write_aliases",
]
