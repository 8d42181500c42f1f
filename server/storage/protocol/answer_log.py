"""The answer log, which keeps answers until the analytics have written them into files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

__all__ = ["AnalyticsBatch", "AnswerLog"]


@dataclass(frozen=True, slots=True)
class AnalyticsBatch:
    """What happened between two positions, as rows of `server/analytics/records.py`.

    position: where the next batch begins, by the name of each stream. erased: SHA-256 of the ids of erased users.
    whole: whether there was nothing more.
    """

    position: Mapping[str, str]
    answers: Sequence[Mapping[str, Any]]
    events: Sequence[Mapping[str, Any]]
    erased: tuple[str, ...]
    whole: bool


class AnswerLog(Protocol):
    """Keeps answers until they are in files. Every method but `close` raises HistoryUnavailable as others do."""

    async def add(self, rows: Sequence[bytes]) -> None:
        """Write answers, each as JSON."""

    async def claim(self, owner: str, seconds: int) -> bool:
        """Whether `owner` is the one who writes the files, for so long at least."""

    async def since(self, position: Mapping[str, str]) -> AnalyticsBatch:
        """Answers, events and erasures after a position; an empty one is before all that there is."""

    async def trim(self, position: Mapping[str, str]) -> None:
        """Forget the answers up to a position."""

    async def close(self) -> None:
        """Release connections."""
