"""Whose the events of merged sessions are, in a file beside the parts."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from catalog.bundle.disk import fsync
from catalog.drained.layout import ALIASES, hidden
from catalog.errors import EventsError

__all__ = ["owner_of", "read_aliases", "write_aliases"]

SCHEMA = pa.schema({"session": pa.string(), "user_id": pa.string()})


def owner_of(name: str, aliases: Mapping[str, str]) -> str:
    """Whose events those of `name` are: an account may itself have been merged into another.

    aliases: of each merged session its user.
    """
    seen = [name]
    while (owner := aliases.get(seen[-1])) is not None and owner not in seen:
        seen.append(owner)
    return seen[-1]


def read_aliases(root: Path) -> dict[str, str]:
    """Of each merged session its user; none where there is no such file. Raises EventsError for a damaged one."""
    file = root / ALIASES
    if not file.exists():
        return {}
    try:
        table = pq.ParquetFile(file).read()
        return dict(zip(table["session"].to_pylist(), table["user_id"].to_pylist(), strict=True))
    except (pa.ArrowException, OSError, KeyError) as error:
        raise EventsError(
            f"{file} cannot be read ({error}): remove it, and `gemserve drain` writes it again"
        ) from error


def write_aliases(root: Path, aliases: Mapping[str, str]) -> None:
    """Whole or not at all."""
    table = pa.table({"session": list(aliases), "user_id": list(aliases.values())}, SCHEMA)
    draft = hidden(root / ALIASES)
    pq.write_table(table, draft, compression="zstd")
    fsync(draft)
    draft.replace(root / ALIASES)
    fsync(root)
