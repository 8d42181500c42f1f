"""A bundle's model and its training data once more, as they were when the bundle was made."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from pydantic import ValidationError
from transformers import AutoTokenizer

from catalog.bundle.bundle import Bundle, open_bundle
from catalog.data.events import drop_unknown_items, read_events
from catalog.text.prompts import MARKERS
from trainer.config.recipe import Recipe
from trainer.core.errors import TrainerError
from trainer.data.batches import Batches
from trainer.data.histories import SPLITS, Histories, Split
from trainer.evaluation.bundle import load_model
from trainer.model.backbone import Backbone

__all__ = ["Restored", "restore", "split_of"]


@dataclass(frozen=True, slots=True)
class Restored:
    """level_tokens: vocabulary ids of every level's codes."""

    bundle: Bundle
    recipe: Recipe
    backbone: Backbone
    batches: Batches
    level_tokens: list[torch.Tensor]


def restore(folder: Path, events: Path) -> Restored:
    """From the manifest's settings. Raises TrainerError or CatalogError for files that are not what they should be."""
    bundle = open_bundle(folder)
    recipe = _recipe(bundle)
    tokenizer = AutoTokenizer.from_pretrained(bundle.model_dir)
    first = int(tokenizer.convert_tokens_to_ids(MARKERS[0]))
    backbone = Backbone(load_model(bundle), tokenizer, bundle.manifest.base_model, first)
    batches = Batches(
        split_of(bundle, events, recipe).train,
        bundle.items,
        bundle.codes_NL,
        bundle.prompts,
        recipe.training,
        seq2seq=backbone.is_seq2seq,
        pad=int(tokenizer.pad_token_id or 0),
        seed=recipe.seed,
    )
    level_tokens = [torch.from_numpy(ids).to(backbone.model.device) for ids in bundle.level_tokens]
    return Restored(bundle, recipe, backbone, batches, level_tokens)


def split_of(bundle: Bundle, events: Path, recipe: Recipe | None = None) -> Split:
    """The split of the bundle's training, of any file of events."""
    if not events.is_file():
        raise TrainerError(f"{events} does not exist: `python -m catalog.importers` writes items and events files")
    table, met = read_events(events)
    known = drop_unknown_items(table, bundle.items.table["item_id"], met)
    name = (recipe or _recipe(bundle)).evaluation.split
    return SPLITS[name](Histories.from_events(known, bundle.items))


def _recipe(bundle: Bundle) -> Recipe:
    try:
        return Recipe.model_validate(bundle.manifest.settings)
    except ValidationError as error:
        raise TrainerError(f"{bundle.path}/manifest.json has settings of another version: {error}") from error
