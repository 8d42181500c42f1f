"""Parquet files, and folders of them, as Spark, Dask and data bases write one table."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

__all__ = ["read_parquet"]

HIDDEN = ("_", ".")
"""What names of files begin with that hold no rows: `_SUCCESS`, `_metadata`, `.part-0.parquet.crc`."""


def read_parquet(path: Path) -> pa.Table:
    """All rows of a file, or of the files in a folder, in the order of their names.

    Raises ArrowException or OSError for what cannot be read, and for a folder of partitions, whose names hold values.
    """
    if not path.is_dir():
        return _of_file(path)
    parts: list[Path] = []
    for entry in sorted(path.iterdir()):
        if entry.name.startswith(HIDDEN):
            continue
        if entry.is_dir():
            advice = "write the table without partitions"
            raise pa.ArrowInvalid(f"the folder has a folder {entry.name!r}, and only files are read: {advice}")
        if entry.suffix == ".parquet":
            parts.append(entry)
    if not parts:
        raise pa.ArrowInvalid("the folder has no file that ends in .parquet")
    if len(parts) == 1:
        return _of_file(parts[0])
    return pa.concat_tables([_of_file(part) for part in parts], promote_options="permissive")


def _of_file(path: Path) -> pa.Table:
    with pq.ParquetFile(path) as file:
        return file.read()
