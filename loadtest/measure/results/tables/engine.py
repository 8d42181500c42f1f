"""The engine's tables: from engine.json, breakdown.json, index.json and live.json."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from loadtest.measure.results.tables.cells import NOTHING, markdown_table

__all__ = ["answers", "breakdown", "changes", "cost_of_guidance", "index", "targets"]

Report = Mapping[str, Any]

ANSWERS = (
    "beam @ requests",
    "ours, cached / fresh",
    "vLLM, cached / fresh",
    "transformers",
    "times vLLM, cached / fresh",
    "times transformers",
)


def answers(report: Report) -> str:
    """Milliseconds until all requests are answered, beside vLLM's and transformers' beam search."""
    times = {(row["engine"], row["beam"], row["concurrency"], row["mode"]): row["p50_ms"] for row in report["rows"]}
    cells = sorted({(beam, requests) for _, beam, requests, _ in times})
    rows = []
    for beam, requests in cells:
        key = f"{beam}@{requests}"
        both = [
            " / ".join(three_digits(times.get((engine, beam, requests, mode))) for mode in ("cached", "fresh"))
            for engine in ("ours", "vllm")
        ]
        faster = [report[name].get("vllm", {}).get(key) for name in ("speedup_cached", "speedup")]
        rows.append(
            [
                key,
                *both,
                three_digits(times.get(("transformers", beam, requests, "fresh"))),
                " / ".join(_ratio(value) for value in faster),
                _ratio(report["speedup"].get("transformers", {}).get(key)),
            ]
        )
    return markdown_table(ANSWERS, rows)


TARGETS = ((12, "vllm", "50@1"), (25, "vllm", "50@8"), (40, "vllm", "128@1"), (60, "transformers", "50@1"))
"""How many times as fast as which engine an answer is to be."""
MIN_GAIN = 2.5
NAMES = {"vllm": "vLLM", "transformers": "transformers"}


def targets(report: Report) -> str:
    """What was asked of the engine, and what it reaches."""
    faster = ("speedup_cached", "speedup")
    rows = [
        [
            f"{times}× {NAMES[engine]} at {key}",
            " / ".join(_times(report[name].get(engine, {}).get(key)) for name in faster),
        ]
        for times, engine, key in TARGETS
    ]
    ours = [row for row in report["rows"] if row["engine"] == "ours"]
    rate = {(row["beam"], row["concurrency"], row["mode"]): row["requests_per_s"] for row in ours}
    beams = sorted({beam for beam, _, _ in rate})
    gains = [
        f"beam {beam}: " + " / ".join(_times(_gain(rate, beam, mode)) for mode in ("cached", "fresh")) for beam in beams
    ]
    rows.append([f"32 requests at once, {MIN_GAIN}× the throughput of one", "; ".join(gains)])
    return markdown_table(["target", "reached, cached / fresh"], rows)


def _gain(rate: Mapping[tuple[int, int, str], float], beam: int, mode: str) -> float | None:
    one, all_32 = rate.get((beam, 1, mode)), rate.get((beam, 32, mode))
    return None if one is None or all_32 is None else all_32 / one


def _times(value: float | None) -> str:
    return NOTHING if value is None else f"{value:.1f}×"


def breakdown(report: Report) -> str:
    """Where the milliseconds of a batch go."""
    parts = ("copies", "heads", "constraint", "rest")
    rows = [
        [
            str(row["requests"]),
            three_digits(row["total"]),
            f"{three_digits(row['forward'])} ({row['floor_share']:.0%})",
            *(three_digits(row[part]) for part in parts),
        ]
        for row in report["rows"]
    ]
    header = ["requests", "total", "forward passes (the floor)", "copies of scratch blocks", "output heads"]
    return markdown_table([*header, "constraint", "rest"], rows)


INDEX = {
    "built from unsorted codes": ("build_s", "s", "1 s"),
    "bytes an item": ("bytes_per_item", "", "9"),
    "opened and checked": ("load_ms", "ms", "50 ms"),
    "constraint a step, 50 rows": ("step_ms", "ms", "0.1 ms"),
    "constraint a step, 1,600 rows": ("step_ms_1600", "ms", "1.7 ms"),
    "constraint a step, one beam of 512": ("step_ms_512", "ms", ""),
}
"""The figures of an index, their units, and what is asked."""


def index(report: Report) -> str:
    """The index and its constraint, beside other structures for the same."""
    opponents = report["opponents"]
    columns = (report, opponents["padded_csr"], opponents["dict_trie"], report["even"])
    header = ["", "ours, skewed", "padded CSR (STATIC)", "dict trie", "ours, even codes", "target"]
    rows = [
        [
            title,
            *(f"{three_digits(column.get(name))} {unit}".rstrip() if name in column else NOTHING for column in columns),
            asked,
        ]
        for title, (name, unit, asked) in INDEX.items()
    ]
    return markdown_table(header, rows)


def changes(report: Report) -> str:
    """Seconds until a change of items is seen: the median, and the slowest in brackets."""
    rows = [
        [
            f"{row['items']:,}",
            *(f"{row[f'{what}_s']:.2f} s ({row[f'{what}_slowest_s']:.2f})" for what in ("insert", "replace", "delete")),
            f"{row['p99_quiet_ms']:.0f} / {row['p99_changing_ms']:.0f} ms",
        ]
        for row in report["rows"]
    ]
    return markdown_table(["items", "insert", "replace", "delete", "p99 of the callers, quiet / changing"], rows)


def guidance(report: Report) -> str:
    """What guides searches: milliseconds a question, median and 99th percentile, and until a change shows."""
    rows = [
        [
            f"{row['items']:,}",
            f"{three_digits(row['build_s'])} s",
            f"{row['bytes_per_item']:,} + {row['learned_bytes_per_item']:,}",
            *(f"{row[name]['p50']:.2f} ({row[name]['p99']:.2f})" for name in ("quiet_ms", "cpu_ms", "question_ms")),
            " / ".join(three_digits(row["change_ms"][what]) for what in ("insert", "replace", "delete")),
            " / ".join(three_digits(row["event_ms"][what]) for what in ("event", "erasure")),
        ]
        for row in report["rows"]
    ]
    asked = ["ms a question, quiet", "processor time", "on the clock"]
    shown = ["ms until an insert / a change / a deletion shows", "an event / an erasure"]
    return markdown_table(["items", "built in", "bytes an item, words + learned", *asked, *shown], rows)


def three_digits(value: float | None) -> str:
    """A number to three significant digits, two below one; a dash for none."""
    if value is None:
        return NOTHING
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 1 else f"{value:.2g}"


def _ratio(value: float | None) -> str:
    return NOTHING if value is None else f"{value:.1f}"


WAYS = {
    "alone": "the model alone, {width} beams",
    "guided": "guided, {width} beams",
    "narrow": "guided, {width} beams: what the bundle needs",
}
GUIDED = (
    "",
    "fresh, ms",
    "cached, ms",
    "answers a second",
    "of the model alone: fresh / cached / between answers",
    "asked",
)
MOST = {"guided": "1.15", "narrow": "0.8"}


def cost_of_guidance(report: Report) -> str:
    """What an answer takes with and without guidance."""
    rows = []
    for way, name in WAYS.items():
        own, ratios = report["ways"][way], report["ratios"].get(way)
        times = [f"{own[mode]['p50']:.1f} ({own[mode]['p99']:.1f})" for mode in ("fresh", "cached")]
        parts = ("fresh", "cached", "between_answers")
        compared = NOTHING if ratios is None else " / ".join(f"{ratios[part]:.2f}" for part in parts)
        rate = three_digits(own["answers_a_second"])
        rows.append([name.format(width=report["widths"][way]), *times, rate, compared, MOST.get(way, NOTHING)])
    return markdown_table(GUIDED, rows)
