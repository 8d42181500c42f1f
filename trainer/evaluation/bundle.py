"""Evaluation of a published bundle on files of events, with the bundle's items and the split of its training."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from pydantic import ValidationError
from transformers import PreTrainedModel

from catalog.bundle.bundle import Bundle
from catalog.bundle.manifest import sha256_of
from catalog.data.events import drop_unknown_items
from catalog.data.tombstones import read_kept_events, tombstone_files
from catalog.drained import event_files
from trainer.config.recipe import EvaluationRecipe
from trainer.core.errors import TrainerError
from trainer.core.progress import print_line, progress
from trainer.data.histories import Histories
from trainer.data.prepared import prepares_on_disk, split_of_files
from trainer.data.prepared.sorted_events import UNKNOWN_ITEM
from trainer.data.questions import Split, count_questions
from trainer.data.splits import SPLITS
from trainer.evaluation.report import Protocol, Report, evaluate
from trainer.model.backbone import model_class


def evaluate_bundle(
    bundle: Bundle, events: Sequence[Path], recipe: EvaluationRecipe, protocol: Protocol, *, seed: int
) -> Report:
    """The report of a bundle on files of events.

    Beside the metrics the report has `events`: how many were read, how many name an item that the bundle does not have,
    and whether the files are those that the bundle was trained on. What was left out is printed.

    seed: what the candidates are drawn from.

    Raises TrainerError where no question is held out, CatalogError for a file that cannot be read.
    """
    split, kept = held_out(bundle, events, recipe)
    if not split.questions(recipe.part):
        raise TrainerError(
            f"{in_words(events)}: the split {recipe.split} holds out no question; users have too few events"
        )
    same = bundle.manifest.events_sha256 == set(map(sha256_of, events))
    if not same:
        files = "is not the file" if len(events) == 1 else "are not the files"
        print_line(f"{in_words(events)} {files} the bundle was trained on: it may have learned from what is asked here")
    with progress("evaluating", count_questions(split.questions(recipe.part), recipe.max_questions)) as shown:
        report = evaluate(
            load_model(bundle),
            bundle.index,
            bundle.level_tokens,
            bundle.prompts,
            bundle.items,
            split,
            recipe,
            protocol=protocol,
            normalize=bundle.normalize,
            seed=seed,
            progress=shown.advance,
        )
    return report | {"bundle": bundle.version, "events": kept | {"trained_on": same}}


def bundle_settings(bundle: Bundle) -> EvaluationRecipe:
    """The settings of the evaluation in the bundle's own run. Raises TrainerError for those of another version."""
    try:
        return EvaluationRecipe.model_validate(bundle.manifest.settings.get("evaluation", {}))
    except ValidationError as error:
        raise TrainerError(f"{bundle.path}/manifest.json has settings of another version: {error}") from error


def load_model(bundle: Bundle) -> PreTrainedModel:
    """The bundle's model, in evaluation mode, on a GPU where there is one."""
    model: PreTrainedModel = model_class(bundle.model_dir).from_pretrained(bundle.model_dir, dtype="auto")
    return model.to("cuda" if torch.cuda.is_available() else "cpu").eval()


def held_out(bundle: Bundle, events: Sequence[Path], recipe: EvaluationRecipe) -> tuple[Split, dict[str, int]]:
    """The split of the events, and how many were `read` and how many of these name `unknown_items`.

    events: files, and what else `catalog.drained.joined_files` takes.
    More events than memory holds are prepared in a temporary folder. Those of erased users and of items that the bundle
    does not have are left out.

    Raises TrainerError for a file that does not exist or cannot be prepared, CatalogError for one that cannot be read.
    """
    with event_files(events) as files:
        return _held_out(bundle, files, recipe)


def _held_out(bundle: Bundle, events: Sequence[Path], recipe: EvaluationRecipe) -> tuple[Split, dict[str, int]]:
    for file in events:
        if not file.is_file():
            raise TrainerError(f"{file} does not exist: `gemserve import` writes items and events files")
    weights = bundle.event_weights
    if prepares_on_disk(events):
        split, report = split_of_files(events, tombstone_files(events), bundle.items, recipe.split, weights=weights)
        unknown = report.omitted(UNKNOWN_ITEM)
    else:
        table, report = read_kept_events(events, tombstone_files(events))
        known = drop_unknown_items(table, bundle.items.table["item_id"], report)
        split = SPLITS[recipe.split](Histories.from_events(known, bundle.items, weights=weights))
        unknown = len(table) - len(known)
    if report.dropped:
        print_line(str(report))
    return split, {"read": report.read, "unknown_items": unknown}


def in_words(events: Sequence[Path]) -> str:
    """The files' names, for a message."""
    return " and ".join(map(str, events))
