"""A published bundle on files of events: the split is made again as in training, the items are the bundle's."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from pydantic import ValidationError
from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForSeq2SeqLM, PreTrainedModel

from catalog.bundle.bundle import Bundle, sha256_of
from catalog.data.erasure import read_kept_events, tombstone_files
from catalog.data.events import drop_unknown_items
from trainer.config.recipe import EvaluationRecipe
from trainer.core.errors import TrainerError
from trainer.core.progress import print_line, progress
from trainer.data.histories import SPLITS, Histories, Split
from trainer.evaluation.report import Protocol, Report, evaluate


def evaluate_bundle(
    bundle: Bundle, events: Sequence[Path], recipe: EvaluationRecipe, protocol: Protocol, *, seed: int
) -> Report:
    """The report, with `events` beside it: how many there were and whether they are what the bundle was trained on.

    Says which events were left out, because they are broken or name an item that the bundle does not have. Raises
    TrainerError where nothing is left to ask, CatalogError for a file that cannot be read.
    """
    split, kept = held_out(bundle, events, recipe)
    if not split.test:
        raise TrainerError(
            f"{in_words(events)}: the split {recipe.split} holds out no question; users have too few events"
        )
    same = bundle.manifest.events_sha256 == set(map(sha256_of, events))
    if not same:
        files = "is not the file" if len(events) == 1 else "are not the files"
        print_line(f"{in_words(events)} {files} the bundle was trained on: it may have learned from what is asked here")
    with progress("evaluating", len(split.test)) as shown:
        report = evaluate(
            load_model(bundle),
            bundle.index,
            bundle.level_tokens,
            bundle.prompts,
            bundle.items,
            split,
            recipe,
            protocol=protocol,
            seed=seed,
            progress=shown.advance,
        )
    return report | {"bundle": bundle.version, "events": kept | {"trained_on": same}}


def bundle_settings(bundle: Bundle) -> EvaluationRecipe:
    """How the bundle was evaluated when it was made."""
    try:
        return EvaluationRecipe.model_validate(bundle.manifest.settings.get("evaluation", {}))
    except ValidationError as error:
        raise TrainerError(f"{bundle.path}/manifest.json has settings of another version: {error}") from error


def load_model(bundle: Bundle) -> PreTrainedModel:
    """The bundle's model, in evaluation mode, on a GPU where there is one."""
    encodes = AutoConfig.from_pretrained(bundle.model_dir).is_encoder_decoder
    loader = AutoModelForSeq2SeqLM if encodes else AutoModelForCausalLM
    model: PreTrainedModel = loader.from_pretrained(bundle.model_dir, dtype="auto")
    return model.to("cuda" if torch.cuda.is_available() else "cpu").eval()


def held_out(bundle: Bundle, events: Sequence[Path], recipe: EvaluationRecipe) -> tuple[Split, dict[str, int]]:
    """The split of the events of items that the bundle has, and how many events there were and were left out."""
    for file in events:
        if not file.is_file():
            raise TrainerError(f"{file} does not exist: `gemserve import` writes items and events files")
    table, met = read_kept_events(events, tombstone_files(events))
    known = drop_unknown_items(table, bundle.items.table["item_id"], met)
    if met.dropped:
        print_line(str(met))
    split = SPLITS[recipe.split](Histories.from_events(known, bundle.items))
    return split, {"read": met.read, "unknown_items": len(table) - len(known)}


def in_words(events: Sequence[Path]) -> str:
    """The files as a message names them."""
    return " and ".join(map(str, events))
