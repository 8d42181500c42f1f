"""Measures how many items are coded, indexed and served, from vectors that are mapped into memory to answers:

    python -m loadtest.many_items --items 10000000 --json many_items.json [--folder DIR] [--seed 0] \
        [--only serve] [--unguided]

Vectors, items and what events teach are synthetic (`coding.py`, `bundle.py`). Each step works in a process of its own,
whose memory is looked at (`loadtest/measure/process.py`); `serving.py` says of the last what each part of it holds.
With `--folder` all files stay there, and `--only serve` serves those that a run before has left.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory

from loadtest.many_items import coding, serving
from loadtest.measure.errors import LoadtestError
from loadtest.measure.machine import Machine
from loadtest.measure.tables import print_table


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print the tables and write the JSON. Raises LoadtestError."""
    options = _parse(arguments)
    kept = nullcontext(options.folder) if options.folder else TemporaryDirectory()
    with kept as folder:
        Path(folder).mkdir(parents=True, exist_ok=True)
        report = {"items": options.items, "machine": asdict(Machine.here())}
        if options.only != "serve":
            report |= coding.measure(Path(folder), options.items, options.seed)
        if options.only != "code":
            steps = report.get("steps", {})
            report |= serving.measure(
                Path(folder), options.items, options.questions, options.changes, options.seed, not options.unguided
            )
            report["steps"] = steps | report["steps"]
    for title, rows in (("steps", report["steps"]), ("parts of what serves", report.get("parts", {}))):
        if rows:
            header = ("", *next(iter(rows.values())))
            print_table(
                f"{options.items:,} items: {title}", header, [(name, *own.values()) for name, own in rows.items()]
            )
    options.json.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    return 0


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m loadtest.many_items", description="Measure a large catalog.")
    parser.add_argument("--items", type=int, default=1_000_000, help="of the catalog (1,000,000)")
    parser.add_argument("--json", type=Path, required=True, help="where to write the figures")
    parser.add_argument("--folder", type=Path, help="where files are made and stay; 1,500 bytes an item must fit")
    parser.add_argument("--only", choices=("code", "serve"), help="one half; to serve what is in the folder already")
    parser.add_argument("--unguided", action="store_true", help="make a bundle without what guides searches")
    parser.add_argument("--questions", type=int, default=300)
    parser.add_argument("--changes", type=int, default=3, help="of every kind")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    if options.only and options.folder is None:
        raise LoadtestError("one half alone needs a folder for what both share: add --folder DIR")
    return options


if __name__ == "__main__":
    raise SystemExit(main())
