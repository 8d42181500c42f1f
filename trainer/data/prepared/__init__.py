"""Histories of more events than memory holds: sorted by DuckDB on disk, and read as memory-mapped arrays."""

from trainer.data.prepared.arrays import prepare_histories
from trainer.data.prepared.choice import prepares_on_disk
from trainer.data.prepared.draws import draws_of, store_draws
from trainer.data.prepared.split import open_split, split_of_files, store_split
from trainer.data.prepared.stored import StoredHistories, mapped, open_histories, write_renumbered

__all__ = [
    "StoredHistories",
    "draws_of",
    "mapped",
    "open_histories",
    "open_split",
    "prepare_histories",
    "prepares_on_disk",
    "split_of_files",
    "store_draws",
    "store_split",
    "write_renumbered",
]
