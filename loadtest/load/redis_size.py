"""The size of a Redis's data and files. Its process's memory says less: it does not shrink with the data."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from redis import Redis
from redis.exceptions import RedisError

__all__ = ["RedisSize"]

MIB = 1 << 20
TIMEOUT_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class RedisSize:
    """A Redis on loopback.

    folder: where it keeps its files.
    """

    port: int
    folder: Path

    def mib(self) -> Mapping[str, float]:
        """MiB of its files and, while it answers, of its data."""
        sizes = {"redis files": sum(_size(file) for file in self.folder.rglob("*")) / MIB}
        with contextlib.suppress(RedisError), Redis(port=self.port, socket_timeout=TIMEOUT_SECONDS) as client:
            sizes["redis data"] = client.info("memory")["used_memory"] / MIB
        return sizes


def _size(file: Path) -> int:
    try:
        return file.stat().st_size if file.is_file() else 0
    except FileNotFoundError:  # Redis has replaced it a moment ago
        return 0
