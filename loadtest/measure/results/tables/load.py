"""What a server carries: from load-ramp.json, load-soak.json and overload.json."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from loadtest.measure.results.tables.cells import NOTHING, grouped, markdown_table

__all__ = ["memory", "overload", "ramp"]

Report = Mapping[str, Any]

PROCESSORS = ("engine", "server", "locust")
LATENCIES = ("p50_ms", "p95_ms", "p99_ms")
PROCESSES = {
    "server": "server",
    "engine": "engine (two while models change)",
    "redis": "Redis, its process",
    "redis data": "Redis, its data",
    "redis files": "Redis, its files",
}


def ramp(report: Report) -> str:
    """Answers a second, latencies and processors in use, for every number of users."""
    rows = [
        [
            str(stage["users"]),
            grouped(stage["answers_per_second"]),
            *(grouped(stage[name]) for name in LATENCIES),
            *(f"{stage['cores'][name]:.2f}" for name in PROCESSORS),
            f"{stage['machine']:.2f}",
        ]
        for stage in report["stages"]
    ]
    header = ["users", "answers/s", "p50 ms", "p95 ms", "p99 ms", "engine", "server", "Locust", "machine"]
    return markdown_table(header, rows)


def memory(report: Report) -> str:
    """MiB of every process over the run."""
    rows = [
        [title, *(_mib(report["memory"][name][what]) for what in ("first", "last", "most", "mib_per_hour"))]
        for name, title in PROCESSES.items()
    ]
    return markdown_table(["MiB", "start", "end", "most", "growth in the second half, an hour"], rows)


def overload(report: Report) -> str:
    """What is answered in time and what is refused where more is asked than the server can answer."""
    rows = [
        [
            f"{stage['load']:g}",
            *(grouped(stage[name]) for name in ("asked", "goodput", "refused")),
            f"{stage['late']:.2g}",
            *(grouped(stage[name]) for name in ("p50_ms", "p99_ms")),
            grouped(stage["refused_p99_ms"]) if stage["refused"] else NOTHING,
            ", ".join(f"{stage['cores'][name]:.2f}" for name in ("client", "engine", "server")),
        ]
        for stage in report["stages"]
    ]
    header = [f"asked, times the {report['capacity']:.0f}", "asked/s", "answered in time/s", "refused/s", "late/s"]
    return markdown_table([*header, "p50 ms", "p99 ms", "refusals: p99 ms", "processors: client, engine, server"], rows)


def _mib(value: float) -> str:
    return grouped(value) if value >= 10 else f"{value:.1f}"
