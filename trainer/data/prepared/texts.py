"""Texts in a file that is mapped into memory, by number."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import overload

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from catalog.data.columns.long_text import taken
from trainer.data.event_order import digests

__all__ = ["StoredTexts", "store_texts"]

SCHEMA = pa.schema({"text": pa.string()})


class StoredTexts(Sequence[str]):
    """The texts that `store_texts` wrote."""

    def __init__(self, path: Path) -> None:
        with pa.memory_map(str(path)) as source:
            self._table = pa.ipc.open_file(source).read_all()
        self._column = self._table["text"]

    def __len__(self) -> int:
        return len(self._column)

    @overload
    def __getitem__(self, number: int) -> str: ...

    @overload
    def __getitem__(self, number: slice) -> Sequence[str]: ...

    def __getitem__(self, number: int | slice) -> str | Sequence[str]:
        if isinstance(number, slice):
            texts: list[str] = self._column[number].to_pylist()
            return texts
        return str(self._column[number].as_py())

    def __iter__(self) -> Iterator[str]:
        return (text for chunk in self._column.chunks for text in chunk.to_pylist())

    def blank(self) -> np.ndarray:
        """Which are blank: bool."""
        empty: np.ndarray = pc.equal(pc.utf8_trim_whitespace(self._column), "").to_numpy()
        return empty

    def taken(self, numbers: np.ndarray) -> pa.Array:
        """Those of some numbers, in their order."""
        return pa.concat_arrays(taken(self._table, numbers)["text"].chunks or [pa.array([], pa.string())])


def store_texts(batches: Iterable[pa.Array], path: Path, *, tie_seed: int = 0) -> np.ndarray:
    """Write texts, and give the digest of each, by which events of one moment are shuffled: uint64."""
    parts = [np.empty(0, np.uint64)]
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, SCHEMA) as writer:
        for texts in batches:
            writer.write_batch(pa.record_batch([texts.cast(pa.string())], schema=SCHEMA))
            parts.append(digests(texts.to_pylist(), tie_seed))
    return np.concatenate(parts)
