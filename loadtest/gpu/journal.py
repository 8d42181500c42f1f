"""The report of one part of the benchmark, written again after every row, so that no end of the part loses a row."""

from __future__ import annotations

import json
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from loadtest.gpu.card import Card
from loadtest.measure.errors import LoadtestError
from loadtest.measure.machine import Machine

__all__ = ["Journal", "fault_of", "write_report"]


class Journal:
    """The report of a part, and how much time the part still has.

    file: where the report is written.
    part: the part's name.
    device: what is measured, "cuda" or "cpu".
    seconds: how long the part may take.
    setup: what the report says about the sizes.
    """

    def __init__(self, file: Path, part: str, device: str, seconds: float, setup: dict[str, Any]) -> None:
        self._file = file
        self._end = time.monotonic() + seconds
        self._report: dict[str, Any] = {
            "part": part,
            "state": "running",
            "machine": asdict(Machine.here()),
            "card": asdict(Card.here(device)),
            "setup": setup,
            "rows": [],
        }
        write_report(file, self._report)

    @property
    def seconds_left(self) -> float:
        """Until the part's end, which may be negative."""
        return self._end - time.monotonic()

    def note(self, **figures: Any) -> None:
        """Add figures that belong to no row."""
        self._report |= figures
        write_report(self._file, self._report)

    def add(self, **row: Any) -> None:
        """Add a row."""
        self._report["rows"].append(row)
        write_report(self._file, self._report)

    def finish(self) -> dict[str, Any]:
        """Say that the part has done all it could; returns the report."""
        self.note(state="done")
        return self._report


def write_report(file: Path, report: dict[str, Any]) -> None:
    """Write a report whole or not at all."""
    temporary = file.with_name(f".{file.name}.tmp")
    temporary.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    temporary.replace(file)


def fault_of(error: Exception) -> str:
    """What a row says in place of figures: "out of memory", or the last line of the error."""
    text = str(error).strip()
    if isinstance(error, torch.OutOfMemoryError) or "OutOfMemoryError" in text or "out of memory" in text:
        return "out of memory"
    last_line = text.splitlines()[-1] if text else ""
    return last_line if isinstance(error, LoadtestError) else f"{type(error).__name__}: {last_line}"
