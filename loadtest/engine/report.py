"""The report of an engine benchmark: rows, speedups and a table."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from loadtest.engine.peers.process import OURS
from loadtest.engine.round_robin import Cell, Mode
from loadtest.measure.tables import print_table

__all__ = ["Row", "print_rows", "rows_of", "speedups", "throughput_gain"]


@dataclass(frozen=True, slots=True)
class Row:
    """The figures of one cell.

    p50_ms, p99_ms: time until all of `concurrency` prompts that were sent at once were answered.
    """

    engine: str
    beam: int
    concurrency: int
    prompt: int
    mode: Mode
    p50_ms: float
    p99_ms: float
    requests_per_s: float
    samples: int


def rows_of(seconds: Mapping[Cell, Sequence[float]], rates: Mapping[Cell, float], prompt: int) -> list[Row]:
    """A row for every cell with a sample.

    rates: requests a second of a closed loop. Where there is none they are those of the samples, which for engines
    that answer a batch in lockstep, as the peers do, is the same.
    """
    rows = []
    for cell, taken in sorted(seconds.items(), key=_place):
        p50, p99 = np.percentile(np.asarray(taken) * 1000, (50, 99)).tolist()
        rate = rates.get(cell, cell.concurrency * len(taken) / sum(taken))
        rows.append(Row(cell.engine, cell.beam, cell.concurrency, prompt, cell.mode, p50, p99, rate, len(taken)))
    return rows


def _place(item: tuple[Cell, Sequence[float]]) -> tuple[int, int, str, bool]:
    cell = item[0]
    return cell.beam, cell.concurrency, cell.mode, cell.engine != OURS


def speedups(rows: Sequence[Row], mode: Mode) -> dict[str, dict[str, float]]:
    """The peers' medians divided by ours, by peer and `beam@concurrency`."""
    median = {(row.engine, row.beam, row.concurrency): row.p50_ms for row in rows if row.mode == mode}
    found: dict[str, dict[str, float]] = {}
    for (engine, beam, concurrency), taken in median.items():
        ours = median.get((OURS, beam, concurrency))
        if engine != OURS and ours is not None:
            found.setdefault(engine, {})[f"{beam}@{concurrency}"] = taken / ours
    return found


def throughput_gain(rates: Mapping[Cell, float]) -> dict[str, float]:
    """Requests a second of new prompts at the highest concurrency, divided by those at concurrency 1, by beam."""
    rate = {(cell.beam, cell.concurrency): found for cell, found in rates.items() if cell.mode == "fresh"}
    most = max((concurrency for _, concurrency in rate), default=1)
    return {str(beam): rate[beam, most] / rate[beam, 1] for beam, concurrency in rate if concurrency == 1}


def print_rows(rows: Sequence[Row], report: Mapping[str, Any]) -> None:
    """Print the rows with the speedup over each peer, and the rest of the report."""
    faster = {"fresh": report["speedup"], "cached": report["speedup_cached"]}
    cells = [
        (
            f"{row.beam}@{row.concurrency} {row.mode}",
            row.engine,
            row.p50_ms,
            row.p99_ms,
            row.requests_per_s,
            row.samples,
            faster[row.mode].get(row.engine, {}).get(f"{row.beam}@{row.concurrency}"),
        )
        for row in rows
    ]
    header = ("beam@requests", "engine", "p50 ms", "p99 ms", "requests/s", "samples", "ours is faster")
    print_table(f"prompts of {report['prompt']} tokens, {report['items']:,} items", header, cells)
    for key in ("throughput_gain", "agreement", "invalid", "duplicates", "peer_invalid_share", "notes"):
        print(f"{key}: {report[key]}")
