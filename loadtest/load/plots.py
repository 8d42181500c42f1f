"""The plots of a load test, as SVG for the HTML report."""

import io
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from loadtest.load.summary import Run

__all__ = ["draw"]

BUCKETS = 60
"""Number of points of a line over time."""


def draw(run: Run, summary: dict[str, Any]) -> dict[str, str]:
    """The plots by title, as SVG."""
    pictures = {
        "Throughput": _picture("requests a second", lambda axes: _throughput(run, axes)),
        "Latency": _picture("ms", lambda axes: _latency(run, axes)),
        "Memory": _picture("MiB", lambda axes: _resources(run, axes, "mib")),
        "Processors": _picture("processors in use", lambda axes: _resources(run, axes, "cores")),
    }
    if len(run.profile.stages) > 1:
        pictures["Stages"] = _picture("p99, ms", lambda axes: _stages(summary, axes), "answers a second")
    return pictures


def _picture(y: str, paint: Callable[[Any], None], x: str = "seconds after the start") -> str:
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 3), layout="constrained")
    axes = figure.add_subplot()
    paint(axes)
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.set_ylim(bottom=0)
    axes.grid(alpha=0.3)
    if axes.get_legend_handles_labels()[0]:
        axes.legend(fontsize="small")
    page = io.StringIO()
    FigureCanvasSVG(figure).print_svg(page, metadata={"Date": None})
    return page.getvalue()[page.getvalue().index("<svg") :]


def _edges(run: Run) -> Any:
    ends = [sample.began - run.started for sample in run.results.samples]
    return np.linspace(0, max([run.profile.seconds, *ends]) + 1e-6, BUCKETS + 1)


def _throughput(run: Run, axes: Any) -> None:
    edges = _edges(run)
    for verdict in ("ok", "degraded", "refused", "late", "wrong", "failed"):
        began = [sample.began - run.started for sample in run.results.samples if sample.verdict == verdict]
        if began:
            number, _ = np.histogram(began, edges)
            axes.plot(edges[:-1], number / np.diff(edges), label=verdict)
    users = axes.twinx()
    times = [time for span in run.profile.spans() for time in span]
    users.plot(times, np.repeat([stage.users for stage in run.profile.stages], 2), color="grey", linestyle=":")
    users.set_ylabel("users (dotted)")
    users.set_ylim(bottom=0)


def _latency(run: Run, axes: Any) -> None:
    edges = _edges(run)
    samples = [sample for sample in run.results.samples if sample.verdict in {"ok", "degraded"}]
    place = np.digitize([sample.began - run.started for sample in samples], edges) - 1
    ms = np.array([sample.ms for sample in samples])
    for quantile in (50, 95, 99):
        line = [np.percentile(ms[place == n], quantile) if np.any(place == n) else np.nan for n in range(BUCKETS)]
        axes.plot(edges[:-1], line, label=f"p{quantile}")
    axes.axhline(run.profile.deadline_ms, color="red", linestyle=":", label="deadline")


def _resources(run: Run, axes: Any, what: str) -> None:
    used = [(sample.at - run.started, getattr(sample, what)) for sample in run.usage]
    for role in sorted({role for _, by_role in used for role in by_role}):
        seen: Sequence[tuple[float, float]] = [(at, by_role[role]) for at, by_role in used if role in by_role]
        axes.plot([at for at, _ in seen], [value for _, value in seen], label=role)
    if what == "cores":
        axes.plot([at for at, _ in used], [sample.machine for sample in run.usage], ":", label="all")


def _stages(summary: dict[str, Any], axes: Any) -> None:
    stages = [stage for stage in summary["stages"] if stage["p99_ms"] is not None]
    axes.plot([stage["answers_per_second"] for stage in stages], [stage["p99_ms"] for stage in stages], "o-")
    for stage in stages:
        axes.annotate(f"{stage['users']} users", (stage["answers_per_second"], stage["p99_ms"]), fontsize="small")
    axes.axhline(summary["deadline_ms"], color="red", linestyle=":", label="deadline")
