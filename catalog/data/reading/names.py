"""What the names of files say."""

from pathlib import Path

__all__ = ["COMPRESSED", "JSON_NAMES", "bare_name"]

JSON_NAMES = (".jsonl", ".ndjson", ".json")
COMPRESSED = (".gz", ".zst", ".bz2", ".xz")


def bare_name(path: Path) -> str:
    """The file's name without what says that it is compressed, such as `events.jsonl` of `events.jsonl.gz`."""
    return path.stem if path.suffix in COMPRESSED else path.name
