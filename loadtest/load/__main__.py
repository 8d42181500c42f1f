"""Loads a server as the users of a shop do, checks every answer and writes a report:

    python -m loadtest.load --profile steady --bundles var/bundles/shop --out var/load/steady

starts server and Redis itself. `--url http://… --items items.parquet` loads a server that runs already. Nothing else
may send it requests meanwhile, because its metrics are compared with what was sent. The folder of `--out` gets
report.html and report.json. The exit status is 1 where something was wrong, which both reports name, and 2 where the
server could not be measured.
"""

import argparse
import contextlib
import functools
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import httpx

from gemserve.child import exits_on_sigterm
from loadtest.load.html_report import page
from loadtest.load.metrics_check import Mismatch, compare, settle
from loadtest.load.plots import draw
from loadtest.load.process_monitor import ProcessMonitor
from loadtest.load.server_process import ServerUnderTest, copy_bundle_twice, published_items, start_server
from loadtest.load.summary import Run, summarize
from loadtest.locust.profiles import PROFILES, Profile
from loadtest.locust.results import Results
from loadtest.measure.errors import LoadtestError
from loadtest.measure.machine import Machine
from loadtest.measure.tables import print_table

FAILED, NOT_MEASURED = 1, 2
GRACE_SECONDS = 240.0
"""Time beyond the profile's own: to start Locust, and to answer the requests under way at the end."""
SETTLE_SECONDS, SETTLE_ATTEMPTS = 0.5, 20


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The options of the command line."""
    parser = argparse.ArgumentParser(prog="python -m loadtest.load", description="Load a server and check its answers.")
    parser.add_argument("--profile", choices=list(PROFILES), required=True)
    parser.add_argument("--out", type=Path, required=True, help="folder of the report")
    parser.add_argument("--bundles", type=Path, help="folder of bundles to serve")
    parser.add_argument("--url", help="a server that runs already, in place of --bundles")
    parser.add_argument("--items", type=Path, help="its items, as published: a Parquet file")
    parser.add_argument("--pid", type=int, help="its process, to be watched")
    parser.add_argument("--scale", type=float, default=1.0, help="so many times the profile's users")
    parser.add_argument("--seconds", type=float, help="in place of the profile's own time")
    parser.add_argument("--requests", type=int, help="end after about so many, however much time is left")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, help="write the figures, without the course of every second, here too")
    options = parser.parse_args(arguments)
    if (options.bundles is None) == (options.url is None) or (options.url is None) != (options.items is None):
        parser.error("give --bundles, or --url and --items of a server that runs already")
    return options


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print tables and write the report; returns the process's exit status."""
    options = parse(arguments)
    options.out.mkdir(parents=True, exist_ok=True)
    try:
        with _server(options) as (server, items):
            run = measure(options, server, items)
    except (LoadtestError, httpx.HTTPError) as error:
        print(f"loadtest.load: {error}", file=sys.stderr)
        return NOT_MEASURED
    summary = summarize(run)
    (options.out / "report.json").write_text(json.dumps(summary, indent=1) + "\n", encoding="utf-8")
    (options.out / "report.html").write_text(page(summary, draw(run, summary)), encoding="utf-8")
    if options.json is not None:
        figures = {name: value for name, value in summary.items() if name != "processes"}
        options.json.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    show(summary, options.out)
    return 0 if summary["passed"] else FAILED


def measure(options: argparse.Namespace, server: ServerUnderTest, items: Path) -> Run:
    """Run one profile. Raises LoadtestError if Locust fails or does not end in time."""
    profile = PROFILES[options.profile].scaled(options.scale, options.seconds)
    before = _metrics(server.url)
    file = options.out / "results.json"
    command = [sys.executable, "-m", "loadtest.locust", "--url", server.url, "--items", str(items)]
    command += ["--profile", options.profile, "--out", str(file), "--seed", str(options.seed)]
    command += ["--scale", str(options.scale)]
    for name in ("seconds", "requests"):
        command += [] if getattr(options, name) is None else [f"--{name}", str(getattr(options, name))]
    with (options.out / "locust.log").open("w") as log:
        locust = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
        roots = {"locust": locust.pid} | ({} if server.pid is None else {"server": server.pid})
        monitor = ProcessMonitor(roots, server.redis)
        with monitor.running():
            _wait(locust, profile, options.out)
    body = json.loads(file.read_text(encoding="utf-8"))
    file.unlink()
    results = Results.from_json(body)
    look = functools.partial(_mismatches, server.url, before, results, Counter(body["locust"]))
    return Run(
        name=options.profile,
        profile=profile,
        results=results,
        usage=monitor.samples,
        mismatches=settle(look, lambda: time.sleep(SETTLE_SECONDS), SETTLE_ATTEMPTS),
        started=body["started"],
        cores=os.cpu_count() or 1,
        setup=_setup(options, server),
    )


def show(summary: dict[str, Any], out: Path) -> None:
    """Print the tables and whether the run passed."""
    columns = ("requests", "answers_per_second", "p50_ms", "p95_ms", "p99_ms")
    header = (*columns, "degraded", "refused", "late", "wrong", "failed")
    for title, first, rows in (("endpoints", "endpoint", "endpoints"), ("stages", "users", "stages")):
        print_table(title, (first, *header), [[row[name] for name in (first, *header)] for row in summary[rows]])
    memory = ("first", "last", "most", "mib_per_hour")
    held = [[role, *(figures[name] for name in memory)] for role, figures in summary["memory"].items()]
    print_table("memory, MiB", ("process", *memory), held)
    agree = "agree" if summary["counters"]["agree"] else "do not agree"
    print(f"\ncapacity: {summary['capacity']}\ncounters of server and client {agree}")
    print(f"{'passed' if summary['passed'] else 'failed: ' + '; '.join(summary['reasons'])}\n{out / 'report.html'}")


@contextlib.contextmanager
def _server(options: argparse.Namespace) -> Iterator[tuple[ServerUnderTest, Path]]:
    """The server, and the file of its items."""
    if options.url is not None:
        yield ServerUnderTest(options.url, options.pid), options.items
        return
    items = published_items(options.bundles)
    with contextlib.ExitStack() as stack:
        bundles, profile = options.bundles, PROFILES[options.profile]
        if profile.swaps:
            folder = stack.enter_context(tempfile.TemporaryDirectory(dir=options.out))
            bundles = copy_bundle_twice(bundles, Path(folder))
        yield stack.enter_context(start_server(bundles, options.out, profile.server)), items


def _wait(locust: "subprocess.Popen[bytes]", profile: Profile, out: Path) -> None:
    try:
        status = locust.wait(profile.seconds + GRACE_SECONDS)
    except subprocess.TimeoutExpired:
        raise LoadtestError(f"Locust did not end in time: see {out / 'locust.log'}") from None
    finally:
        locust.kill()  # harmless where it has ended
        locust.wait()
    if status != 0:
        raise LoadtestError(f"Locust ended with status {status}: see {out / 'locust.log'}")


def _metrics(url: str) -> str:
    return httpx.get(f"{url}/metrics", timeout=30).raise_for_status().text


def _mismatches(url: str, before: str, results: Results, locust: Counter[str]) -> list[Mismatch]:
    own = Counter(sample.route for sample in results.samples)
    lost = [Mismatch(f"Locust {route}", own[route], number) for route, number in locust.items() if own[route] != number]
    return [*lost, *compare(before, _metrics(url), results.counts(), results.events)]


def _setup(options: argparse.Namespace, server: ServerUnderTest) -> dict[str, Any]:
    version = httpx.get(f"{server.url}/version", timeout=30).raise_for_status().json()
    given = {name: str(value) for name, value in vars(options).items() if value is not None}
    return {"machine": asdict(Machine.here()), "server": version, "options": given}


if __name__ == "__main__":
    with exits_on_sigterm():  # so that server, Redis and Locust end with us
        sys.exit(main())
