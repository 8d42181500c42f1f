"""Exports items of one state of the catalog, as lines that an import takes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

import numpy as np
import orjson
import pyarrow as pa
from numpy.typing import NDArray

from server.api.schemas.items import shown

__all__ = ["exported"]

ROWS = 500  # written at a time


async def exported(table: pa.Table, row_K: NDArray[np.int64]) -> AsyncGenerator[bytes, None]:
    """The lines of K items, some hundred at a time, whatever becomes of the catalog meanwhile."""
    for start in range(0, len(row_K), ROWS):
        yield await asyncio.to_thread(_lines, table, row_K[start : start + ROWS])


def _lines(table: pa.Table, row_K: NDArray[np.int64]) -> bytes:
    records = table.take(row_K).to_pylist()
    return b"".join(orjson.dumps(shown(record), default=str, option=orjson.OPT_APPEND_NEWLINE) for record in records)
