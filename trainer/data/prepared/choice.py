"""Whether files of events are prepared on disk rather than read into memory."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from trainer.core.errors import TrainerError
from trainer.core.progress import print_line
from trainer.data.prepared.sorted_events import check_readable

__all__ = ["MAX_IN_MEMORY", "prepares_on_disk"]

MAX_IN_MEMORY = 10_000_000
"""Events that are read into memory, about 430 bytes each, where nobody says otherwise."""


def prepares_on_disk(events: Sequence[Path], wanted: bool | None = None) -> bool:
    """What is wanted; for None, whether the files have more than MAX_IN_MEMORY events and are as it needs them."""
    if wanted is not None:
        return wanted
    try:
        if sum(pq.read_metadata(file).num_rows for file in events) <= MAX_IN_MEMORY:
            return False
        for file in events:
            check_readable(file)
    except (pa.ArrowException, OSError):  # is no Parquet
        return False
    except TrainerError as reason:
        print_line(f"all events are read into memory: {reason}")
        return False
    return True
