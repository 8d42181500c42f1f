"""Publishes a finished run as a bundle: a plain checkpoint with its catalog, evaluation report and model card."""

from __future__ import annotations

import errno
import json
import shutil
import subprocess
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial
from itertools import count, groupby
from operator import itemgetter
from pathlib import Path
from typing import Any

import numpy as np
import torch

from catalog.bundle.bundle import Bundle
from catalog.bundle.folder import publish
from catalog.bundle.golden import GoldenQueries
from catalog.bundle.manifest import Manifest
from catalog.errors import VersionTaken
from catalog.priors.learned import save_learned
from catalog.priors.priors import Priors
from catalog.priors.weights import PriorWeights, save_weights
from catalog.search.calibration import TaskCalibration, save_calibrations
from catalog.search.transformers import TransformersRanker
from catalog.suggestions import TypedQueries
from catalog.text.prompts import PROMPT_VERSION, TASKS
from catalog.text.query_terms import TypedWords
from trainer.config.recipe import Recipe
from trainer.data.histories import NO_QUERY, Histories
from trainer.data.questions import Split
from trainer.evaluation.baselines import training_events
from trainer.evaluation.metrics import KINDS
from trainer.evaluation.report import Report
from trainer.model.backbone import Backbone, model_class
from trainer.runtime.step_log import FILE_NAME
from trainer.runtime.workspace import Workspace


def publish_run(
    bundles: Path,
    backbone: Backbone,
    workspace: Workspace,
    split: Split,
    report: Report,
    recipe: Recipe,
    code_sizes: tuple[int, ...],
    inputs: dict[str, Path],
    *,
    warm_start: str | None = None,
    make_current: bool = True,
    events_erased: int = 0,
) -> Path:
    """Publishes the run's bundle, and returns its path.

    bundles: the folder of bundles.
    backbone: the tuned model.
    workspace: the workspace of the run, with its catalog and step log.
    split: the histories. What the model learned from are those for training; the priors learn from all.
    report: the evaluation of the tuned model.
    code_sizes: how many codes each level has.
    inputs: the files of the training data, by the names that the manifest gives them. Their digests are those that
        the workspace took when the run began.
    warm_start: the version of the bundle that training started from, if any.
    make_current: whether `current` is to point to the bundle, so that servers load it.
    events_erased: how many events were left out because their users were erased.
    """
    now = datetime.now(UTC)
    data: dict[str, Any] = {
        name: {"file": str(file), "sha256": workspace.digests[file]} for name, file in inputs.items()
    }
    data["events"]["erased"] = events_erased
    unversioned = Manifest(
        version="",
        created=now.isoformat(timespec="seconds"),
        engine="transformers" if backbone.is_seq2seq else "vllm",
        method=recipe.method,
        base_model=backbone.name,
        identifiers=recipe.identifiers.scheme,
        code_sizes=code_sizes,
        normalize=recipe.training.normalize,
        prompt_version=PROMPT_VERSION,
        items=report["catalog_size"],
        guided_width=report.get("guided_width", {}).get("width"),
        settings=recipe.model_dump(mode="json"),
        data=data,
        metrics=_headline(report),
        warm_start=warm_start,
        code_commit=_commit(),
    )

    def fill(draft: Path, manifest: Manifest) -> None:
        backbone.save(draft / "model")
        shutil.copytree(workspace.catalog, draft / "catalog")
        shutil.copy(workspace.step_log, draft / FILE_NAME)
        (draft / "report.json").write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
        (draft / "README.md").write_text(model_card(manifest, report), encoding="utf-8")
        golden_queries(Bundle(draft, manifest)).save(draft / "catalog" / "golden.json")
        typed_words(split.train).save(draft / "catalog" / "typed_words.json")
        typed_queries(split.train).save(draft / "catalog" / "typed_queries.json")
        _save_priors(Bundle(draft, manifest), split.full, report)

    versions = _versions(now)
    while True:
        manifest = unversioned.model_copy(update={"version": next(versions)})
        try:
            return publish(bundles, manifest, partial(fill, manifest=manifest), make_current=make_current)
        except VersionTaken:
            continue


def golden_queries(bundle: Bundle) -> GoldenQueries:
    """The bundle's golden queries, answered on the CPU by its checkpoint as it was written, as servers will read it."""
    exact, rounded = (
        TransformersRanker(
            model_class(bundle.model_dir).from_pretrained(bundle.model_dir, dtype=dtype),
            bundle.index,
            bundle.level_tokens,
            normalize=bundle.normalize,
        )
        for dtype in (torch.float32, torch.bfloat16)
    )
    return GoldenQueries.make(exact, rounded, bundle.prompts, bundle.items, normalize=bundle.normalize)


def typed_words(train: Histories) -> TypedWords:
    """The words that users typed. They are counted anew for every bundle, so erased users leave nothing behind."""
    return TypedWords.of({text for _, text, _ in own} for _, own in groupby(_typed(train), key=itemgetter(0)))


def typed_queries(train: Histories) -> TypedQueries:
    """The queries that users typed, counted anew for every bundle, as words are."""
    return TypedQueries.of(_typed(train))


def _typed(train: Histories) -> Iterator[tuple[int, str, int]]:
    """The user, the query and the time of every event of a search, by user."""
    for users in train.blocks():
        span, count_U = train.span_of(users)
        place_S = np.flatnonzero(train.queries_E[span] != NO_QUERY)
        number_S = train.queries_E[span][place_S]
        text_of = {number: train.texts[number] for number in np.unique(number_S).tolist()}
        user_S, time_S = np.repeat(users, count_U)[place_S], train.times_E[span][place_S]
        for user, number, time in zip(user_S.tolist(), number_S.tolist(), time_S.tolist(), strict=True):
            yield user, text_of[number], time


def _save_priors(bundle: Bundle, histories: Histories, report: Report) -> None:
    """Writes what events teach, what the priors count for beside the model, and how likely scores are right."""
    priors = Priors.fit(bundle.items, training_events(histories, len(bundle.items)))
    save_learned(priors.learned, bundle.catalog_dir / "priors")
    if "guidance" in report:
        learned = {task: PriorWeights.from_json(report["guidance"][task]["weights"]) for task in TASKS}
        save_weights(learned, bundle.catalog_dir / "prior_weights.json")
    if any(report.get("calibration", {}).values()):
        calibrations = {task: TaskCalibration.from_json(own) for task, own in report["calibration"].items()}
        save_calibrations(calibrations, bundle.catalog_dir / "calibration.json")


def keep_reports(bundles: Path, reports: dict[str, Report], step_log: Path, recipe: Recipe) -> Path:
    """Keeps the reports of a run whose model cannot be served, in a folder of `bundles`/reports; returns that folder.

    It holds each report under its name, the step log, and settings.json with every setting of the run.

    bundles: the folder of bundles.
    reports: the reports, by the names of their files without ".json".
    step_log: the run's step log.
    """
    folder = bundles / "reports"
    folder.mkdir(parents=True, exist_ok=True)
    draft = folder / f".draft-{uuid.uuid4().hex}"
    draft.mkdir()
    for name, content in (reports | {"settings": recipe.model_dump(mode="json")}).items():
        (draft / f"{name}.json").write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    shutil.copy(step_log, draft / FILE_NAME)
    versions = _versions(datetime.now(UTC))
    while True:
        try:
            return draft.rename(folder / next(versions))
        except OSError as error:  # another run that ended in the same second has the name
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise


def model_card(manifest: Manifest, report: Report) -> str:
    """The text of the bundle's README.md."""
    going_on = f", going on from {manifest.warm_start}," if manifest.warm_start else ""
    lines = [
        f"# {manifest.version}",
        "",
        f"`{manifest.base_model}` tuned with `{manifest.method}`{going_on} to answer search and recommendation over "
        f"{manifest.items} items, on {manifest.created}. `model/` is a plain Hugging Face checkpoint; answers are "
        f"item identifiers ({manifest.identifiers}, {' × '.join(map(str, manifest.code_sizes))} codes).",
        "",
        *_training_lines(report),
        f"Protocol `{report['protocol']}`, beam width {report['beam_width']}, 95% bootstrap intervals.",
        "",
        "| task | method | Recall@10 | NDCG@10 | questions |",
        "|---|---|---|---|---|",
    ]
    for task, methods in report["tasks"].items():
        for name, figures in methods.items():
            lines.append(_card_line(task, name, figures))
            lines += [
                _card_line(f"{task}, {kind.replace('_', ' ')}", name, figures[kind])
                for kind in KINDS
                if kind in figures
            ]
    return "\n".join([*lines, "", "Every setting of the run, and the data's hashes, are in manifest.json.", ""])


def _training_lines(report: Report) -> list[str]:
    """What training took, if the report says it."""
    training = report.get("training", {})
    if not training.get("tokens_per_second"):
        return []
    return [
        f"{training['steps']} steps took {training['seconds']:.0f} s: {training['tokens']} tokens, "
        f"typically {training['tokens_per_second']} a second.",
        "",
    ]


def _card_line(task: str, name: str, figures: dict[str, Any]) -> str:
    low, high = figures.get("intervals", {}).get("recall@10", (float("nan"),) * 2)
    few = " (few)" if figures.get("few") else ""
    return (
        f"| {task} | {name} | {figures['recall@10']:.3f} ({low:.3f}–{high:.3f}) "
        f"| {figures['ndcg@10']:.3f} | {figures['questions']}{few} |"
    )


def _headline(report: Report) -> dict[str, Any]:
    return {
        task: {name: figures["recall@10"] for name, figures in methods.items()}
        for task, methods in report["tasks"].items()
    }


def _versions(now: datetime) -> Iterator[str]:
    """Names for the bundle, to be tried in turn, because several runs may end in the same second."""
    stem = now.strftime("%Y%m%d-%H%M%S")
    yield stem
    yield from (f"{stem}-{number}" for number in count(2))


def _commit() -> str | None:
    folder = Path(__file__).parent
    found = subprocess.run(["git", "rev-parse", "HEAD"], cwd=folder, capture_output=True, text=True, check=False)
    return found.stdout.strip() or None
