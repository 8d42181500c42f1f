"""Columns with more text than one Arrow array of strings can hold, which is 2 GiB.

A column of a table is cut into chunks, each of which is one such array. Arrow's `combine_chunks` and `take` join the
chunks, and so refuse a longer column: some 46 million events have that much text in their ids. These functions join
numbers only.

Shapes: N values of a column, R rows that are taken.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

__all__ = ["MAX_TEXT", "as_strings", "encoded", "taken"]

MAX_TEXT = 2**31 - 1
"""Bytes of text in one array of strings, at most."""
PIECE = MAX_TEXT // 8
"""Bytes of a piece that is taken at once, about."""


def encoded(column: pa.ChunkedArray) -> pa.DictionaryArray:
    """The column as codes of its distinct values, which are numbered in the order in which they first occur.

    The distinct values are `large_string` where the column has too much text for `string`.
    """
    if column.nbytes > MAX_TEXT and pa.types.is_string(column.type):
        column = column.cast(pa.large_string())  # makes other offsets, and shares the text
    chunks = column.dictionary_encode().chunks  # which have all of the column's values in common
    if not chunks:
        return pa.array([], column.type).dictionary_encode()
    codes = pa.concat_arrays([chunk.indices for chunk in chunks])
    return pa.DictionaryArray.from_arrays(codes, chunks[-1].dictionary)


def taken(table: pa.Table, row_R: NDArray[np.int64]) -> pa.Table:
    """These rows of a table, in this order."""
    columns = [_taken(column, row_R) for column in table.columns]
    return pa.Table.from_arrays(columns, schema=table.schema)


def as_strings(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Text as `string`, in as many chunks as that takes. column: of strings of any kind, or of bytes.

    Raises ArrowInvalid for bytes that are no UTF-8.
    """
    long = pa.large_string() if pa.types.is_string_view(column.type) else pa.large_binary()
    column = column if pa.types.is_large_string(column.type) else column.cast(long)
    pieces = [piece.cast(pa.string()) for chunk in column.chunks for piece in _short(chunk)]
    return pa.chunked_array(pieces, pa.string())


def _short(chunk: pa.Array) -> Iterator[pa.Array]:
    """An array of `large_string` or `large_binary` in pieces that one of strings can hold."""
    offset_N1 = np.frombuffer(chunk.buffers()[1], np.int64)[chunk.offset :][: len(chunk) + 1] if len(chunk) else [0]
    begin = 0
    while begin < len(chunk):
        fitting = int(np.searchsorted(offset_N1, offset_N1[begin] + MAX_TEXT, side="right")) - 1
        end = max(begin + 1, min(fitting, len(chunk)))
        piece = chunk.slice(begin, end - begin)
        yield piece if offset_N1[begin] == 0 else pa.concat_arrays([piece])  # whose offsets begin at 0 again
        begin = end


def _taken(column: pa.ChunkedArray, row_R: NDArray[np.int64]) -> pa.ChunkedArray:
    if column.nbytes <= MAX_TEXT or pa.types.is_primitive(column.type):
        return column.take(pa.array(row_R))
    begin_C = np.r_[0, np.cumsum([len(chunk) for chunk in column.chunks])]
    pieces = np.array_split(row_R, -(-column.nbytes // PIECE))
    return pa.chunked_array([part for piece in pieces for part in _gathered(column, begin_C, piece)], column.type)


def _gathered(column: pa.ChunkedArray, begin_C: NDArray[np.int64], row_R: NDArray[np.int64]) -> Iterator[pa.Array]:
    """The values of some rows: out of each chunk what it has of them, joined, and brought into their order.

    begin_C: the row with which each chunk begins.
    """
    if len(row_R) == 0:
        return
    chunk_R = np.searchsorted(begin_C, row_R, side="right") - 1
    order_R = np.argsort(chunk_R, kind="stable")
    chunks, firsts = np.unique(chunk_R[order_R], return_index=True)
    parts = np.split(row_R[order_R], firsts[1:])
    try:
        values = [
            column.chunk(chunk).take(pa.array(part - begin_C[chunk])) for chunk, part in zip(chunks, parts, strict=True)
        ]
        joined = pa.concat_arrays(values)
    except pa.ArrowInvalid:  # these rows have more text than others
        if len(row_R) == 1:
            raise
        for half in np.array_split(row_R, 2):
            yield from _gathered(column, begin_C, half)
        return
    yield joined.take(pa.array(np.argsort(order_R)))
