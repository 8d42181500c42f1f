"""The documents with tables: writes them, or says which are not what their JSON files say."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from loadtest.measure.results.markdown import rendered
from loadtest.measure.results.tables.registry import table_text

__all__ = ["MEASUREMENTS", "outdated", "write_tables"]

MEASUREMENTS = Path("docs/measurements")


def write_tables(root: Path) -> list[Path]:
    """Writes the tables anew; returns the documents that changed, relative to the root of the repository."""
    changed = dict(_changes(root))
    for document, text in changed.items():
        (root / document).write_text(text, encoding="utf-8")
    return list(changed)


def outdated(root: Path) -> list[Path]:
    """The documents with a table that is not what its JSON files say."""
    return [document for document, _ in _changes(root)]


def _changes(root: Path) -> Iterator[tuple[Path, str]]:
    """Every document that must change, and what it must say."""
    for file in [root / "README.md", *sorted((root / "docs").glob("*.md"))]:
        old = file.read_text(encoding="utf-8")
        new = _now(old, file, root / MEASUREMENTS)
        if new != old:
            yield file.relative_to(root), new


def _now(text: str, document: Path, measurements: Path) -> str:
    folder = os.path.relpath(measurements, document.parent)
    try:
        return rendered(
            text,
            lambda name: table_text(name, measurements, folder),
            lambda file: (measurements / file).is_file(),
        )
    except ValueError as error:
        raise ValueError(f"{document}: {error}") from error
