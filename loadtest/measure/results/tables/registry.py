"""Every table by its name: the files that it is made of, and the function that makes it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from loadtest.measure.results.made import caption, read_measurement
from loadtest.measure.results.tables.baselines import baselines
from loadtest.measure.results.tables.comparison import comparison
from loadtest.measure.results.tables.engine import (
    answers,
    breakdown,
    changes,
    cost_of_guidance,
    guidance,
    index,
    targets,
)
from loadtest.measure.results.tables.load import memory, overload, ramp
from loadtest.measure.results.tables.quality import quality, summary
from loadtest.measure.results.tables.relevance import misspellings, relevance
from loadtest.measure.results.tables.training import complementary, memory_parts, step_costs

__all__ = ["TABLES", "Table", "table_text"]

DATA_SETS = {"shop": "bundled store", "movielens": "MovieLens-latest-small", "lastfm": "Last.fm HetRec"}

Measurement = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Table:
    """A table.

    files: names of JSON files.
    render: makes it of those that are there, by the names; it is not called without any.
    """

    files: tuple[str, ...]
    render: Callable[[Mapping[str, Measurement]], str]


def _one(file: str, render: Callable[[Measurement], str]) -> Table:
    return Table((file,), lambda found: render(found[file]))


def _each(kind: str, render: Callable[[Mapping[str, Measurement]], str]) -> Table:
    """A table of the files of one kind of all data sets, which `render` gets by the data sets' names."""
    names = {f"{kind}-{key}.json": name for key, name in DATA_SETS.items()}
    return Table(tuple(names), lambda found: render({names[file]: own for file, own in found.items()}))


TABLES: Mapping[str, Table] = {
    "summary": _each("quality", summary),
    **{f"quality-{name}": _one(f"quality-{name}.json", quality) for name in DATA_SETS},
    "baselines": _each("baselines", baselines),
    "relevance-shop": _one("relevance-shop.json", relevance),
    "misspellings": _one("misspellings.json", misspellings),
    **{f"comparison-{name}": _one(f"comparison-{name}.json", comparison) for name in ("movielens", "lastfm")},
    "training": _one("training.json", step_costs),
    "training-parts": _one("training-parts.json", memory_parts),
    "complementary": _one("complementary.json", complementary),
    "engine": _one("engine.json", answers),
    "engine-targets": _one("engine.json", targets),
    "breakdown": _one("breakdown.json", breakdown),
    "index": _one("index.json", index),
    "live": _one("live.json", changes),
    "prior": _one("prior.json", guidance),
    "guided": _one("guided.json", cost_of_guidance),
    "load-ramp": _one("load-ramp.json", ramp),
    "load-soak": _one("load-soak.json", memory),
    "overload": _one("overload.json", overload),
}


def table_text(name: str, measurements: Path, folder: str) -> str:
    """A table with the notes above it and the lines below it that say how its figures were made.

    measurements: the folder of the JSON files.
    folder: the way to it from the document.
    Raises ValueError where there is no such table, or a file does not say how it was made.
    """
    if name not in TABLES:
        raise ValueError(f"there is no table {name}: {', '.join(TABLES)}")
    table = TABLES[name]
    found = {file: read_measurement(measurements / file) for file in table.files if (measurements / file).is_file()}
    missing = [
        f"Not measured yet: `make results ONLY={file.removesuffix('.json')}`."
        for file in table.files
        if file not in found
    ]
    notes = list(dict.fromkeys(f"**{own['made']['note']}**" for own in found.values() if "note" in own["made"]))
    captions = [caption(file, own["made"], folder) for file, own in found.items()]
    body = [table.render(found)] if found else []
    return "\n\n".join([*notes, *body, "\n".join(captions), *missing] if captions else missing)
