"""Histories of more events than memory holds: sorted by DuckDB on disk, and read as memory-mapped arrays."""

from trainer.data.prepared.arrays import open_histories, prepare_histories

__all__ = ["open_histories", "prepare_histories"]
