"""The report of a load test as one HTML file that needs no other file."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

__all__ = ["page"]

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 70rem; padding: 0 1rem; color: #1c1c1c; }
table { border-collapse: collapse; margin: 1rem 0; } td, th { padding: .2rem .7rem; text-align: right; }
td:first-child, th:first-child { text-align: left; } tr { border-bottom: 1px solid #ddd; }
.passed { color: #14692f; } .failed { color: #a11212; } svg { width: 100%; height: auto; }
pre { white-space: pre-wrap; background: #f4f4f4; padding: .5rem; }
"""
COLUMNS = ("requests", "answers_per_second", "p50_ms", "p95_ms", "p99_ms")
VERDICTS = ("degraded", "refused", "late", "wrong", "failed")
FAULT = ("rule", "route", "request_id", "detail")
MAX_FAULTS = 30
"""Faults that are shown; the JSON has more."""


def page(summary: Mapping[str, Any], pictures: Mapping[str, str]) -> str:
    """The HTML of a summary.

    pictures: SVG by title.
    """
    word = "passed" if summary["passed"] else "failed"
    title = f"Load: {summary['profile']}"
    drawn = "".join(f"<h2>{escape(name)}</h2>{svg}" for name, svg in pictures.items())
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{escape(title)}</title><style>{STYLE}</style>'
        f'<h1>{escape(title)}: <span class="{word}">{word}</span></h1>{_list(summary["reasons"])}'
        f"<p>{_overview(summary)}</p>"
        f"<h2>Endpoints</h2>{_rows('endpoint', summary['endpoints'])}"
        f"<h2>Stages</h2>{_rows('users', summary['stages'])}{drawn}"
        f"<h2>Memory, MiB</h2>{_memory(summary['memory'])}"
        f"<h2>Counters</h2>{_counters(summary['counters'])}"
        f"{_faults(summary)}"
        f"<h2>Setup</h2><pre>{escape(str(summary['setup']))}</pre></html>\n"
    )


def _overview(summary: Mapping[str, Any]) -> str:
    capacity = summary["capacity"]
    text = f"{summary['requests']:,} requests in {summary['seconds']:,.0f} s. "
    if capacity is None:
        return text + f"No stage had a p99 under the deadline of {summary['deadline_ms']:.0f} ms."
    saturated = ", ".join(capacity["saturated"]) or "nothing"
    return text + (
        f"Most with a p99 under the deadline of {summary['deadline_ms']:.0f} ms: "
        f"{capacity['answers_per_second']:.1f} answers a second from {capacity['users']} users "
        f"(p99 {capacity['p99_ms']:.0f} ms). Used up beyond it: {escape(saturated)}."
    )


def _rows(first: str, rows: Sequence[Mapping[str, Any]]) -> str:
    names = (first, *COLUMNS, *VERDICTS)
    return _table(names, [[row[name] for name in names] for row in rows])


def _memory(memory: Mapping[str, Mapping[str, float | None]]) -> str:
    names = ("first", "last", "most", "mib_per_hour")
    return _table(("process", *names), [[role, *(figures[name] for name in names)] for role, figures in memory.items()])


def _counters(counters: Mapping[str, Any]) -> str:
    if counters["agree"]:
        return "<p>The server's metrics and the client's own counts agree to the request.</p>"
    names = ("what", "server", "client")
    return _table(names, [[row[name] for name in names] for row in counters["mismatches"]])


def _faults(summary: Mapping[str, Any]) -> str:
    if not summary["faults"] and not summary["errors"]:
        return "<h2>Wrong answers</h2><p>None.</p>"
    shown = [" ".join(str(fault[name]) for name in FAULT) for fault in summary["faults"][:MAX_FAULTS]]
    return f"<h2>Wrong answers</h2>{_list([*shown, *summary['errors'][:MAX_FAULTS]])}"


def _list(lines: Sequence[str]) -> str:
    return "<ul>" + "".join(f"<li>{escape(line)}</li>" for line in lines) + "</ul>" if lines else ""


def _table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    head = "".join(f"<th>{escape(name.replace('_', ' '))}</th>" for name in header)
    body = "".join("<tr>" + "".join(f"<td>{escape(_text(value))}</td>" for value in row) + "</tr>" for row in rows)
    return f"<table><tr>{head}</tr>{body}</table>"


def _text(value: object) -> str:
    if value is None:
        return "–"
    return f"{value:,.1f}" if isinstance(value, float) else str(value)
