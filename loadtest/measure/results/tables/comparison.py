"""The methods of training beside each other: from comparison-*.json, which `trainer.analysis.ablation` writes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from loadtest.measure.results.tables.cells import NOTHING, Figure, bold_figures, grouped, markdown_table
from loadtest.measure.results.tables.quality import METHODS
from trainer.evaluation.metrics import KINDS

__all__ = ["comparison"]

ROWS = {
    "gems": "GEMS, `null_space.side=output`",
    "input_side": "GEMS, `null_space.side=input`",
    "no_decomposition": "– without decomposition",
    "no_null_space": "– without null space",
    "overlapping": "– overlapping subspaces",
    "fixed_gate": "– fixed gate",
    "heuristic_gate": "– heuristic gate",
    "single_subspace": "single subspace",
    "full": "full AdamW",
    "lora": "LoRA",
    "lora_moe": "mixture of LoRA experts",
}
"""The rows of a comparison, in order, and what they are called."""

Row = Mapping[str, Any]
SEARCH, RECOMMENDATION = "search Recall@10", "recommendation Recall@10"
OF_KIND = {kind: f"search, {kind.replace('_', ' ')}s" for kind in KINDS}


def comparison(table: Mapping[str, Any]) -> str:
    """One table: every method, the base, and the baselines, which need no training."""
    rows = {name: table["rows"][name] for name in ROWS if name in table["rows"]}
    baselines = {name: table["baselines"][name] for name in METHODS if name in table["baselines"]}
    places = [_places(row) for row in (*rows.values(), *baselines.values())]
    columns = {title: [_figure(own[title]) for own in places] for title in places[0]}
    shown = {_title(title, column): bold_figures(column) for title, column in columns.items() if any(column)}
    ranking = list(zip(*shown.values(), strict=True))
    others = ["perplexity", "forgotten"]
    if any("learning_rate" in row for row in rows.values()):
        others.append("learning rate")
    of_rows = zip(rows.items(), ranking[: len(rows)], strict=True)
    lines = [[ROWS[name], *cells, *_others(row)[: len(others)]] for (name, row), cells in of_rows]
    if table["base"] is not None:
        perplexity = grouped(table["base"]["perplexity"]["value"])
        lines.append(["the base", *[NOTHING] * len(shown), perplexity, *[NOTHING] * (len(others) - 1)])
    of_baselines = zip(baselines, ranking[len(rows) :], strict=True)
    lines += [[METHODS[name], *cells, *[NOTHING] * len(others)] for name, cells in of_baselines]
    return markdown_table(["method", *shown, *others], lines)


def _title(title: str, column: Sequence[Figure | None]) -> str:
    return f"{title} (few questions)" if any(figure.few for figure in column if figure is not None) else title


def _places(row: Row) -> dict[str, Mapping[str, Any] | None]:
    """The metrics of each column; a baseline has its tasks themselves."""
    tasks, kinds = row.get("tasks", row), row.get("search_kinds", {})
    of_kind = {title: kinds.get(kind) for kind, title in OF_KIND.items()}
    return {SEARCH: tasks.get("search"), **of_kind, RECOMMENDATION: tasks.get("recommendation")}


def _figure(metrics: Mapping[str, Any] | None) -> Figure | None:
    if metrics is None:
        return None
    own = metrics["recall@10"]
    return Figure(own["value"], max(0.0, own["low"]), own["high"], few=own.get("few", False))


def _others(row: Row) -> list[str]:
    """What a method has kept of the base, and its learning rate."""
    kept = row["retention"]
    retention = [NOTHING, NOTHING] if kept is None else [grouped(kept["perplexity"]), f"{kept['forgotten']:.0%}"]
    return [*retention, f"{row['learning_rate']['rate']:g}" if "learning_rate" in row else NOTHING]
