"""The steps of a retraining: what is run with what, and when the result is activated."""

from __future__ import annotations

import http.client
import json
import os
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from catalog.bundle.manifest import sha256_of
from catalog.bundle.source import BundleSource, bundle_source
from catalog.drained import joined_files
from gemserve.child import run_child
from server.cli.redis_url import server_redis
from server.cli.retrain.lock import LockLost, RetrainLock
from server.core.errors import ServerError
from server.core.process import module_paths

__all__ = ["FAILED", "Plan", "Run", "retrain", "run_module"]

ACTIVATED, FAILED, NOT_BETTER = 0, 2, 3
ANSWER_SECONDS = 60.0
ACTIVATION_SECONDS = 1_900.0
"""More than a fleet gives its servers to load a model."""
FIRST_OF_SERVERS = 500
"""Of the statuses that tell of a server's trouble, or of a balancer's that waited no longer."""

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
    pointed, old = bundles.current(), _served_version(plan)
    if old not in bundles.versions():
        raise RetrainingFailed(f"{plan.server} serves {old}, which is not in {plan.bundles}: name its own --bundles")
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
    now = bundles.current()
    if now != pointed or (now := _served_version(plan)) != old:
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


def _served_version(plan: Plan) -> str:
    """The current model. `current` of the bundles may be another: of a fleet that cannot write there, for one."""
    answer = _asked(plan, "GET", "/admin/models", ANSWER_SECONDS)
    try:
        return str(json.loads(answer)["current"])
    except (ValueError, LookupError, TypeError) as error:
        raise RetrainingFailed(f"{plan.server} does not say which model it serves: is it a gemserve?") from error


def _activate(plan: Plan, version: str) -> None:
    _asked(plan, "POST", f"/admin/models/{version}/activate", ACTIVATION_SECONDS)


def _asked(plan: Plan, method: str, path: str, seconds: float) -> bytes:
    """What the server answers. Raises RetrainingFailed with its words where it refuses."""
    url = f"{plan.server.rstrip('/')}{path}"
    headers = {} if plan.key is None else {"Authorization": f"Bearer {plan.key}"}
    request = urllib.request.Request(url, method=method, headers=headers)
    unclear = "" if method == "GET" else "; it may come into effect yet, as GET /admin/models then shows"
    try:
        with urllib.request.urlopen(request, timeout=seconds) as answer:
            return bytes(answer.read())
    except urllib.error.HTTPError as error:
        with error:
            said = f"{url} answered {error.code}: {_detail(error.read())}"
        raise RetrainingFailed(said + (unclear if error.code >= FIRST_OF_SERVERS else "")) from error
    except urllib.error.URLError as error:  # before it was sent
        raise RetrainingFailed(f"{url} could not be reached: {error}") from error
    except (OSError, http.client.HTTPException) as error:
        raise RetrainingFailed(f"{url} did not answer: {error!r}{unclear}") from error


def _detail(body: bytes) -> str:
    try:
        return str(json.loads(body)["detail"])
    except (ValueError, LookupError, TypeError):
        return body[:200].decode(errors="replace")


def run_module(command: Sequence[str], variables: Mapping[str, str]) -> int:
    """A Run in a process of its own."""
    print(f"→ python -m {' '.join(command)}", flush=True)
    return run_child([sys.executable, "-m", *command], env={**os.environ, **module_paths(), **variables})


def _must(status: int, what: str) -> None:
    if status != 0:
        raise RetrainingFailed(f"{what} ended with status {status}, see above: the served model stays")
