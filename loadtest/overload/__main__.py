"""Sends a server more requests than it can answer, and checks that it still answers as many as it can:

    python -m loadtest.overload --bundles var/bundles/shop --json overload.json

starts server and Redis itself, measures the capacity (answers a second with as many requests under way as the server
runs at once), then sends 0.5 to 3 times as many at random moments, each with a deadline. The exit status is 1 if at
twice the capacity fewer than 85% of the best number of answers came in time, or if the 99th percentile of accepted
requests is over the deadline at any load, or a request failed; it is 2 if the server could not be measured.

Client, server, Redis and engine share the processors. The table says what the client uses, which the engine lacks.
"""

import argparse
import contextlib
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

import httpx
import numpy as np
from prometheus_client.parser import text_string_to_metric_families

from gemserve.child import exits_on_sigterm
from loadtest.load.process_monitor import ProcessMonitor
from loadtest.load.server_process import ServerUnderTest, published_items, start_server
from loadtest.measure.errors import LoadtestError
from loadtest.measure.machine import Machine
from loadtest.measure.tables import print_table
from loadtest.overload.load_generator import Reply

__all__ = ["Stage", "faults", "main"]

FAILED, NOT_MEASURED = 1, 2
LOADS = (0.5, 1.0, 1.5, 2.0, 3.0)
MAX_CONCURRENCY = 32  # the server's default
WARM_UP = 0.2
"""Share of a stage's time at its beginning that is not counted."""
GRACE_SECONDS = 120.0
"""Time beyond a stage's own: to start the client, and to read the last answers."""
MIN_SHARE = 0.85
"""Share of the best goodput that is required at OVERLOAD times the capacity."""
OVERLOAD = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """The figures of one load. Rates are requests a second; times are of accepted requests, those answered or late.

    load: times the capacity.
    asked: the rate of all requests.
    goodput: the rate of requests answered in time.
    late: the rate of accepted requests that were not answered in time.
    failed: the rate of requests with any other outcome.
    waited_ms: the mean time in the queue of those that were admitted.
    cores: number of processors used, by role.
    """

    load: float
    asked: float
    goodput: float
    refused: float
    late: float
    failed: float
    p50_ms: float
    p99_ms: float
    refused_p99_ms: float
    waited_ms: float
    cores: dict[str, float]

    @classmethod
    def of(
        cls,
        load: float,
        replies: Sequence[Reply],
        seconds: float,
        deadline: float,
        waited_ms: float,
        cores: dict[str, float],
    ) -> "Stage":
        """The figures of some replies. deadline: in seconds, like `seconds`, the time over which they came."""
        accepted = [reply.seconds for reply in replies if reply.status in (200, 504)]
        refused = [reply.seconds for reply in replies if reply.status in (429, 503)]
        good = sum(reply.status == 200 and reply.seconds <= deadline for reply in replies)
        p50, p99 = _percentiles(accepted, 50, 99)
        return cls(
            load=load,
            asked=len(replies) / seconds,
            goodput=good / seconds,
            refused=len(refused) / seconds,
            late=(len(accepted) - good) / seconds,
            failed=(len(replies) - len(accepted) - len(refused)) / seconds,
            p50_ms=p50,
            p99_ms=p99,
            refused_p99_ms=_percentiles(refused, 99)[0],
            waited_ms=waited_ms,
            cores=cores,
        )


def faults(stages: Sequence[Stage], deadline_ms: float) -> list[str]:
    """What is wrong with these stages, in words; an empty list where nothing is."""
    best = max(stage.goodput for stage in stages)
    found = []
    for stage in stages:
        at = f"at {stage.load:g} times the capacity"
        if stage.load == OVERLOAD and stage.goodput < MIN_SHARE * best:
            found.append(f"{at} {stage.goodput:.1f} answers a second came in time, {best:.1f} at best")
        if stage.p99_ms > deadline_ms:
            found.append(f"{at} p99 of the accepted requests is {stage.p99_ms:.0f} ms, over {deadline_ms:g}")
        if stage.failed > 0:
            found.append(f"{at} {stage.failed:.2f} requests a second failed")
    return found


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The options of the command line."""
    parser = argparse.ArgumentParser(prog="python -m loadtest.overload", description="Ask for more than can be done.")
    parser.add_argument("--bundles", type=Path, help="folder of bundles to serve")
    parser.add_argument(
        "--url", help="a server that runs already, in place of --bundles; send it nothing else meanwhile"
    )
    parser.add_argument("--items", type=Path, help="its items, as published: a Parquet file")
    parser.add_argument("--pid", type=int, help="its process, to be watched")
    parser.add_argument("--loads", type=float, nargs="+", default=LOADS, help="times the capacity")
    parser.add_argument("--capacity", type=float, help="answers a second, in place of measuring it")
    parser.add_argument("--seconds", type=float, default=25.0, help="of every stage")
    parser.add_argument("--deadline-ms", type=int, default=1_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, help="write the figures here")
    options = parser.parse_args(arguments)
    if (options.bundles is None) == (options.url is None) or (options.url is None) != (options.items is None):
        parser.error("give --bundles, or --url and --items of a server that runs already")
    return options


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print the table; returns the process's exit status."""
    options = parse(arguments)
    try:
        with _server(options) as (server, items):
            capacity: float = options.capacity or _capacity(options, server, items)
            stages = [_stage(options, server, items, load, capacity) for load in options.loads]
    except (LoadtestError, httpx.HTTPError) as error:
        print(f"loadtest.overload: {error}", file=sys.stderr)
        return NOT_MEASURED
    found = faults(stages, options.deadline_ms)
    if options.json is not None:
        given = {name: str(value) for name, value in vars(options).items() if value is not None}
        figures = {"machine": asdict(Machine.here()), "options": given, "capacity": capacity, "faults": found}
        figures["stages"] = [asdict(stage) for stage in stages]
        options.json.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    _show(stages, capacity, options.deadline_ms)
    print("failed: " + "; ".join(found) if found else "passed")
    return FAILED if found else 0


def _capacity(options: argparse.Namespace, server: ServerUnderTest, items: Path) -> float:
    replies = _send(options, server, items, ["--at-once", str(MAX_CONCURRENCY)])[0]
    answered: int = sum(reply.status == 200 for reply in replies)
    if answered == 0:
        raise LoadtestError("the server answered nothing")
    seconds: float = options.seconds * (1 - WARM_UP)
    return answered / seconds


def _stage(options: argparse.Namespace, server: ServerUnderTest, items: Path, load: float, capacity: float) -> Stage:
    how = ["--rate", str(load * capacity), "--deadline-ms", str(options.deadline_ms)]
    before = _waits(server.url)
    replies, cores = _send(options, server, items, how)
    count, waited = np.subtract(_waits(server.url), before)
    seconds = options.seconds * (1 - WARM_UP)
    waited_ms = 1000 * waited / count if count else 0.0
    return Stage.of(load, replies, seconds, options.deadline_ms / 1000, float(waited_ms), cores)


def _send(
    options: argparse.Namespace, server: ServerUnderTest, items: Path, how: Sequence[str]
) -> tuple[list[Reply], dict[str, float]]:
    """The replies after the warm-up, and the processors used."""
    command = [sys.executable, "-m", "loadtest.overload.load_generator", "--url", server.url, "--items", str(items)]
    command += [*how, "--seconds", str(options.seconds), "--seed", str(options.seed)]
    with tempfile.TemporaryFile() as output:
        client = subprocess.Popen(command, stdout=output)
        monitor = ProcessMonitor({"client": client.pid} | ({} if server.pid is None else {"server": server.pid}))
        try:
            with monitor.running():
                status = client.wait(options.seconds + GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            raise LoadtestError("the load generator did not end in time") from None
        finally:
            client.kill()  # harmless where it has ended
            client.wait()
        if status != 0:
            raise LoadtestError(f"the load generator ended with status {status}")
        output.seek(0)
        replies = [Reply(**reply) for reply in json.load(output)]
    roles = {role for sample in monitor.samples for role in sample.cores}
    cores = {role: round(fmean(sample.cores.get(role, 0.0) for sample in monitor.samples), 2) for role in sorted(roles)}
    return [reply for reply in replies if reply.at >= WARM_UP * options.seconds], cores


def _waits(url: str) -> tuple[float, float]:
    """How many requests were admitted so far, and the seconds that they waited together."""
    text = httpx.get(f"{url}/metrics", timeout=30).raise_for_status().text
    name = "gemserve_queue_seconds"
    found = {sample.name: sample.value for family in text_string_to_metric_families(text) for sample in family.samples}
    return found[f"{name}_count"], found[f"{name}_sum"]


@contextlib.contextmanager
def _server(options: argparse.Namespace) -> Iterator[tuple[ServerUnderTest, Path]]:
    if options.url is not None:
        yield ServerUnderTest(options.url, options.pid), options.items
        return
    items = published_items(options.bundles)
    with tempfile.TemporaryDirectory() as folder, start_server(options.bundles, Path(folder)) as server:
        yield server, items


def _percentiles(seconds: Sequence[float], *percents: float) -> list[float]:
    """Percentiles in milliseconds; zeros where there are no times."""
    return [float(1000 * value) for value in np.percentile(np.asarray(seconds or [0.0]), percents)]


def _show(stages: Sequence[Stage], capacity: float, deadline_ms: float) -> None:
    names = ("asked", "goodput", "refused", "late", "failed", "p50_ms", "p99_ms", "refused_p99_ms", "waited_ms")
    roles = sorted({role for stage in stages for role in stage.cores})
    rows: list[list[Any]] = [
        [f"{stage.load:g}", *(getattr(stage, name) for name in names), *(stage.cores.get(role) for role in roles)]
        for stage in stages
    ]
    title = f"{capacity:.1f} answers a second at most; deadline {deadline_ms:g} ms; a second, milliseconds, processors"
    print_table(title, ("load", *names, *roles), rows)


if __name__ == "__main__":
    with exits_on_sigterm():  # so that server, Redis and the client end with us
        sys.exit(main())
