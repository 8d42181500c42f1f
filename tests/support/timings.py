"""`--timings FILE`: how long the run took, its slowest files and tests, written as JSON.

docs/measurements/tests.json is made by `make test TIMINGS=docs/measurements/tests.json`.
"""

import json
import time
from collections import Counter, defaultdict
from dataclasses import asdict
from pathlib import Path

import pytest

from loadtest.measure.machine import Machine

__all__ = ["Timings"]

SLOWEST = 100


class Timings:
    """A plugin of pytest that sums the seconds of every test; under pytest-xdist it lives in the controlling process.

    A test that sets up a fixture which others share is charged with it, in `setup`.
    """

    def __init__(self, file: Path, workers: int) -> None:
        self._file = file
        self._workers = workers
        self._began = time.monotonic()
        self._machine = Machine.here()
        self._seconds: dict[str, Counter[str]] = defaultdict(Counter)
        self._outcomes: Counter[str] = Counter()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if isinstance(report, pytest.SubtestReport):  # its test is reported too
            return
        self._seconds[report.nodeid][report.when or "call"] += report.duration
        if report.when == "call" or report.outcome != "passed":
            self._outcomes[report.outcome] += 1

    def pytest_sessionfinish(self) -> None:
        rows = [
            {"test": test, "seconds": parts.total(), "setup": parts["setup"]} for test, parts in self._seconds.items()
        ]
        rows.sort(key=lambda row: (-row["seconds"], row["test"]))
        files: Counter[str] = Counter()
        for test, parts in self._seconds.items():
            files[test.partition("::")[0]] += parts.total()
        report = {
            "machine": asdict(self._machine),
            "workers": self._workers,
            "tests": dict(self._outcomes),
            "wall_seconds": round(time.monotonic() - self._began, 1),
            "seconds_of_all_tests": round(sum(row["seconds"] for row in rows), 1),
            "slowest_files": [
                {"file": file, "seconds": round(seconds, 1)} for file, seconds in files.most_common(SLOWEST)
            ],
            "slowest": [
                {name: round(value, 2) if isinstance(value, float) else value for name, value in row.items()}
                for row in rows[:SLOWEST]
            ],
        }
        self._file.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
