"""Trains the served model on what users did since, and activates the result if it is not worse:

    gemserve retrain --bundles bundles --redis redis://127.0.0.1:6379/0 --server http://127.0.0.1:8000 \\
        [--events older.parquet …] [--items items.parquet] [--recipe R] [training.steps=500 …]

1. `server.cli.export_events` and `export_items` write the event log and the catalog as it is served.
2. `trainer.run --warm-start` trains on them, and on the files of `--events`: it merges them, and leaves out what users
   did before they were erased, as the export and the `.erased.json` beside each file say.
3. `trainer.evaluation.compare` asks the new and the served model the same held-out questions.
4. The new one is activated over HTTP.

Each step is a process of its own. The key of an admin is read from the variable RETRAIN_KEY, or given as --key, which
other users of the machine can see.

The exit status is 0 for a new model that was activated, 3 for one that is not shown to be as good (it stays published,
and the old one is served), and 2 where something failed (nothing is activated). `python -m server.cli.retrain` is the
same. Read on in docs/operations.md.
"""

from __future__ import annotations

import argparse
import fcntl
import json
import os
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from catalog.bundle.bundle import sha256_of
from catalog.bundle.disk import access_reason
from catalog.bundle.source import BundleSource, bundle_source, folder_or_url, working_folder
from catalog.drained import joined_files
from catalog.errors import CatalogError
from catalog.terminal_escapes import printable
from server.cli.redis_url import add_redis_argument, server_namespace, server_redis
from server.core.errors import ServerError

__all__ = ["main", "retrain"]

ACTIVATED, FAILED, NOT_BETTER = 0, 2, 3
ACTIVATION_SECONDS = 900.0

Run = Callable[[Sequence[str], Mapping[str, str]], int]
"""Runs a module with arguments, and with variables beside those of this process; its exit status."""


class RetrainingFailed(ServerError):
    """A step did not succeed; the model that was served still is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What the operator asked for.

    bundles: the server's folder of bundles, or the address of its store.
    events: files of what happened before the log begins.
    items: None for those that are served.
    recipe: None for the served model's own settings.
    """

    bundles: Path | str
    redis: str
    namespace: str | None
    server: str
    key: str | None
    events: Sequence[Path]
    items: Path | None
    recipe: str | None
    metric: str
    tolerance: float
    settings: Sequence[str]


def retrain(plan: Plan, folder: Path, run: Run) -> int:
    """The exit status. folder: for files in between. Raises RetrainingFailed and CatalogError."""
    bundles = bundle_source(plan.bundles)
    old = bundles.current()
    served = bundles.path(old)
    events = [*joined_files(plan.events, folder), _recorded(plan, folder, run)]
    items = plan.items or _items(plan, served, folder, run)
    new = _trained(plan, bundles, served, items, events, run)
    compare = ["--old", str(served), "--new", str(bundles.path(new)), *_flags(events)]
    compare += ["--metric", plan.metric, "--tolerance", str(plan.tolerance)]
    status = run(["trainer.evaluation.compare", *compare], {})
    if status == NOT_BETTER:
        print(f"{new} is published and not activated; {old} is served as before")
        return NOT_BETTER
    if status != 0:
        raise RetrainingFailed(f"the comparison ended with status {status}: {new} is published and not activated")
    if (now := bundles.current()) != old:
        raise RetrainingFailed(f"{now} was activated meanwhile: {new} is published and not activated; retrain again")
    _activate(plan, new)
    print(f"{new} is served; POST /admin/models/rollback brings {old} back")
    return ACTIVATED


def main(
    arguments: Sequence[str] | None = None, run: Run | None = None, program: str = "python -m server.cli.retrain"
) -> int:
    """The process's exit status. program: how it is called, for its help. run: for tests."""
    try:
        plan = _plan(arguments, program)
        with _alone(plan.bundles), tempfile.TemporaryDirectory(prefix="gemserve-retrain-") as folder:
            return retrain(plan, Path(folder), run or _run)
    except (ServerError, CatalogError, OSError) as error:
        print(f"retrain: {printable(access_reason(error) or error)}", file=sys.stderr)
        return FAILED


def _recorded(plan: Plan, folder: Path, run: Run) -> Path:
    """The event log as a file, with the tombstones beside it."""
    recorded = folder / "recorded.parquet"
    command = ["server.cli.export_events", "--out", str(recorded)]
    _must(run(command, _storage(plan)), "the export of events")
    return recorded


def _storage(plan: Plan) -> dict[str, str]:
    """Variables by which a command finds the server's Redis."""
    namespace = {} if plan.namespace is None else {"GEMSERVE_NAMESPACE": plan.namespace}
    return {"GEMSERVE_REDIS": plan.redis} | namespace


def _flags(events: Sequence[Path]) -> list[str]:
    return [word for file in events for word in ("--events", str(file))]


def _items(plan: Plan, served: Path, folder: Path, run: Run) -> Path:
    items = folder / "items.parquet"
    command = ["server.cli.export_items", "--bundle", str(served), "--out", str(items)]
    _must(run(command, _storage(plan)), "the export of items")
    return items


def _trained(plan: Plan, bundles: BundleSource, served: Path, items: Path, events: Sequence[Path], run: Run) -> str:
    """The version of the new bundle, which is not `current` yet."""
    before = set(bundles.versions())
    command = ["trainer.run", "--items", str(items), *_flags(events), "--out", str(plan.bundles)]
    command += ["--warm-start", str(served), "--no-activate"]
    command += [] if plan.recipe is None else ["--recipe", plan.recipe]
    _must(run([*command, *plan.settings], {}), "training")
    trained_on = {sha256_of(file) for file in events}
    for version in set(bundles.versions()) - before:
        if bundles.facts(version).manifest.events_sha256 == trained_on:
            return version
    raise RetrainingFailed(f"training ended well and left no bundle in {plan.bundles}: does its method publish one?")


def _activate(plan: Plan, version: str) -> None:
    """Over HTTP. Raises RetrainingFailed with what the server answered."""
    url = f"{plan.server.rstrip('/')}/admin/models/{version}/activate"
    headers = {} if plan.key is None else {"Authorization": f"Bearer {plan.key}"}
    request = urllib.request.Request(url, method="POST", headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=ACTIVATION_SECONDS):
            return
    except urllib.error.HTTPError as error:
        with error:
            raise RetrainingFailed(f"{url} answered {error.code}: {_detail(error.read())}") from error
    except OSError as error:
        raise RetrainingFailed(f"{url} could not be reached: {error}") from error


def _detail(body: bytes) -> str:
    try:
        return str(json.loads(body)["detail"])
    except (ValueError, LookupError, TypeError):
        return body[:200].decode(errors="replace")


def _run(command: Sequence[str], variables: Mapping[str, str]) -> int:
    print(f"→ python -m {' '.join(command)}", flush=True)
    return subprocess.run([sys.executable, "-m", *command], env={**os.environ, **variables}, check=False).returncode


def _must(status: int, what: str) -> None:
    if status != 0:
        raise RetrainingFailed(f"{what} ended with status {status}, see above: the served model stays")


@contextmanager
def _alone(bundles: Path | str) -> Iterator[None]:
    """Two at a time would compare with a model that the other one replaces. Raises RetrainingFailed.

    Two machines with one store have no lock in common: the later one finds another current model, and activates none.
    """
    folder = working_folder(bundles)
    if folder != bundles:
        folder.mkdir(parents=True, exist_ok=True)
    elif not folder.is_dir():
        raise RetrainingFailed(f"--bundles {bundles} is no folder")
    with (folder / ".retrain.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise RetrainingFailed(f"another retraining of {bundles} is under way") from None
        yield


def _plan(arguments: Sequence[str] | None, program: str) -> Plan:
    parser = argparse.ArgumentParser(program, description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundles", type=folder_or_url, required=True, help="the server's --bundles")
    add_redis_argument(parser)
    parser.add_argument("--server", required=True, help="such as http://127.0.0.1:8000")
    parser.add_argument("--key", default=os.environ.get("RETRAIN_KEY"), help="of an admin (default: RETRAIN_KEY)")
    parser.add_argument(
        "--events",
        type=Path,
        action="append",
        default=[],
        metavar="FILE",
        help="events of before the log, such as the first training's file, or a folder of `gemserve drain`;"
        " may be given again for more",
    )
    parser.add_argument("--items", type=Path, help="items to train with (default: the catalog that is served)")
    parser.add_argument("--recipe", help="default: the served model's own settings")
    parser.add_argument("--metric", default="ndcg@10", help="that decides (default: ndcg@10)")
    parser.add_argument("--tolerance", type=float, default=0.02, help="how much worse is still accepted (0.02)")
    parser.add_argument("settings", nargs="*", metavar="section.key=value", help="settings that replace the recipe's")
    options = parser.parse_intermixed_args(arguments)
    return Plan(
        **vars(options) | {"redis": server_redis(options.redis), "namespace": server_namespace(options.namespace)}
    )


if __name__ == "__main__":
    sys.exit(main())
