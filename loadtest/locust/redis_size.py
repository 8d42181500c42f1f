"""How much a Redis holds, in memory and on disk: what its process takes does not shrink with it."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from redis import Redis
from redis.exceptions import RedisError

__all__ = ["RedisSize"]

MIB = 1 << 20
LONGEST_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class RedisSize:
    """port: on loopback. folder: where it keeps its files."""

    port: int
    folder: Path

    def mib(self) -> Mapping[str, float]:
        """MiB of its data and of its files; without the data while it does not answer."""
        sizes = {"redis files": sum(_size(file) for file in self.folder.rglob("*")) / MIB}
        with contextlib.suppress(RedisError), Redis(port=self.port, socket_timeout=LONGEST_SECONDS) as client:
            sizes["redis data"] = client.info("memory")["used_memory"] / MIB
        return sizes


def _size(file: Path) -> int:
    try:
        return file.stat().st_size if file.is_file() else 0
    except FileNotFoundError:  # Redis has replaced it a moment ago
        return 0
