"""Makes the measurements of docs/measurements again, and writes the tables of README.md and docs/*.md from them:

    make results                        what is not of the code and data of now, and the tables
    make results ONLY=quality-shop      named parts, with commas; those that take hours run only so
    make results ONLY=tables            the tables alone
    make results FORCE=yes              whatever was made before
    python -m loadtest.measure.results --list   the parts, and which of them are current
    python -m loadtest.measure.results --check  whether the tables are what the JSON files say

Data sets are read from DATA_DIR (../shared/data). Without them their parts are left out, and it says how to get them.
The exit status is 0; 1 where a part failed or a table is not current; 2 where a part that was named cannot run; 130
after an interruption.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from loadtest.measure.errors import LoadtestError
from loadtest.measure.results.documents import MEASUREMENTS, outdated, write_tables
from loadtest.measure.results.parts import PARTS, Part
from loadtest.measure.results.runner import MissingDataError, Places, Runner

TABLES_ONLY = "tables"


def main(arguments: Sequence[str] | None = None, parts: Sequence[Part] = PARTS) -> int:
    """Returns the exit status.

    parts: what can be made.
    """
    options = _parse(arguments)
    runner = Runner(Places(options.root, options.data, options.var, MEASUREMENTS))
    if options.list:
        return _list(parts, runner)
    try:
        if options.check:
            return _check(options.root)
        chosen = _chosen(parts, options.only)
    except ValueError as error:
        print(f"loadtest.measure.results: {error}", file=sys.stderr)
        return 2
    try:
        status = _run(chosen, runner, force=options.force, named=bool(options.only))
    except KeyboardInterrupt:
        print("results: interrupted; what was measured is kept, and the same command makes the rest", file=sys.stderr)
        status = 130
    for document in write_tables(options.root):
        print(f"results: wrote the tables of {document}")
    return status


def _list(parts: Sequence[Part], runner: Runner) -> int:
    for part in parts:
        when = "by name only" if part.hours else ""
        print(f"{part.name:24}{'current' if runner.is_current(part) else 'not current':14}{when}".rstrip())
    return 0


def _check(root: Path) -> int:
    documents = outdated(root)
    for document in documents:
        print(f"{document}: a table is not what its JSON says; `make results ONLY=tables` writes it", file=sys.stderr)
    return 1 if documents else 0


def _chosen(parts: Sequence[Part], only: str) -> list[Part]:
    """The named parts, or all that do not take hours. Raises ValueError for a name that is none."""
    names = [name for name in only.split(",") if name]
    by_name = {part.name: part for part in parts}
    unknown = set(names) - by_name.keys() - {TABLES_ONLY}
    if unknown:
        raise ValueError(f"there is no part {', '.join(sorted(unknown))}: {', '.join(by_name)}, or {TABLES_ONLY}")
    if not names:
        return [part for part in parts if not part.hours]
    return [part for name, part in by_name.items() if name in names]


def _run(parts: Sequence[Part], runner: Runner, *, force: bool, named: bool) -> int:
    """Runs the parts one after the other, whatever becomes of those before; returns the exit status."""
    status = 0
    for part in parts:
        if not force and runner.is_current(part):
            print(f"results: {part.name} is of the code and data of now; FORCE=yes makes it again")
            continue
        try:
            runner.run(part)
        except MissingDataError as error:
            print(f"results: left out: {error}", file=sys.stderr)
            status = max(status, 2 if named else 0)
        except LoadtestError as error:
            print(f"results: {error}", file=sys.stderr)
            status = max(status, 1)
    return status


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m loadtest.measure.results",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--only", default="", help=f"names of parts with commas, or {TABLES_ONLY}")
    what.add_argument("--list", action="store_true", help="name the parts")
    what.add_argument("--check", action="store_true", help="change nothing; say which tables are not current")
    parser.add_argument("--force", action="store_true", help="make also what is current")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="data sets (../shared/data)")
    parser.add_argument("--var", type=Path, default=Path("var/results"), help="what is made on the way (var/results)")
    parser.add_argument("--root", type=Path, default=Path(), help="the repository (the current folder)")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
