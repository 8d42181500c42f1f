"""The steps of a retraining: what is run with what, and when the result is activated."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from catalog.bundle.bundle import sha256_of
from catalog.bundle.source import BundleSource, bundle_source
from catalog.drained import joined_files
from server.cli.redis_url import server_redis
from server.cli.retrain.lock import LockLost, RetrainLock
from server.core.errors import ServerError

__all__ = ["FAILED", "Plan", "Run", "retrain", "run_module"]

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
    redis: the server's; None for what the environment says.
    events: files of what happened before the log begins.
    items: None for those that are served.
    recipe: None for the served model's own settings.
    """

    bundles: Path | str
    redis: str | None
    namespace: str | None
    server: str
    key: str | None
    events: Sequence[Path]
    items: Path | None
    recipe: str | None
    metric: str
    tolerance: float
    settings: Sequence[str]


def retrain(plan: Plan, folder: Path, run: Run, lock: RetrainLock) -> int:
    """The exit status. folder: for files in between. lock: is held. Raises ServerError and CatalogError."""
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
    try:
        lock.confirm()
    except LockLost as error:
        raise RetrainingFailed(f"{error}: {new} is published and not activated; retrain again") from error
    if (now := bundles.current()) != old:
        raise RetrainingFailed(f"{now} was activated meanwhile: {new} is published and not activated; retrain again")
    _activate(plan, new)
    print(f"{new} is served; POST /admin/models/rollback brings {old} back")
    return ACTIVATED


def _recorded(plan: Plan, folder: Path, run: Run) -> Path:
    """The event log as a file, with the tombstones beside it."""
    recorded = folder / "recorded.parquet"
    command = ["server.cli.export_events", "--out", str(recorded)]
    _must(run(command, _storage(plan)), "the export of events")
    return recorded


def _storage(plan: Plan) -> dict[str, str]:
    """Variables by which a command finds the server's Redis."""
    namespace = {} if plan.namespace is None else {"GEMSERVE_NAMESPACE": plan.namespace}
    return {"GEMSERVE_REDIS": server_redis(plan.redis)} | namespace


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


def run_module(command: Sequence[str], variables: Mapping[str, str]) -> int:
    """A Run in a process of its own."""
    print(f"→ python -m {' '.join(command)}", flush=True)
    return subprocess.run([sys.executable, "-m", *command], env={**os.environ, **variables}, check=False).returncode


def _must(status: int, what: str) -> None:
    if status != 0:
        raise RetrainingFailed(f"{what} ended with status {status}, see above: the served model stays")
