"""The training setup of a published bundle: its tuned model, its recipe, and batches as they were in its training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from pydantic import ValidationError
from transformers import AutoTokenizer

from catalog.bundle.bundle import Bundle, open_bundle
from catalog.text.prompts import MARKERS
from trainer.config.recipe import Recipe
from trainer.core.errors import TrainerError
from trainer.data.batches import Batches
from trainer.evaluation.bundle import held_out, load_model
from trainer.model.backbone import Backbone

__all__ = ["TrainingSetup", "load_training_setup"]


@dataclass(frozen=True, slots=True)
class TrainingSetup:
    """What is needed to compute training losses of a published bundle.

    bundle: the bundle.
    recipe: the settings of its training.
    backbone: its tuned model.
    batches: draws the batches of its training.
    level_tokens: the vocabulary ids of every level's codes, int64, on the model's device.
    """

    bundle: Bundle
    recipe: Recipe
    backbone: Backbone
    batches: Batches
    level_tokens: list[torch.Tensor]


def load_training_setup(folder: Path, events: Sequence[Path]) -> TrainingSetup:
    """The training setup of a bundle. Events of erased users are left out, as in training.

    folder: the bundle's folder.
    events: the files of events of its training.

    Raises TrainerError for settings of another version or events that do not exist, and CatalogError for a file that
    cannot be read.
    """
    bundle = open_bundle(folder)
    recipe = _recipe(bundle)
    tokenizer = AutoTokenizer.from_pretrained(bundle.model_dir)
    text_rows = int(tokenizer.convert_tokens_to_ids(MARKERS[0]))
    backbone = Backbone(load_model(bundle), tokenizer, bundle.manifest.base_model, text_rows)
    split, _ = held_out(bundle, events, recipe.evaluation)
    batches = Batches(
        split.train,
        bundle.items,
        bundle.codes_NL,
        bundle.prompts,
        recipe.training,
        seq2seq=backbone.is_seq2seq,
        pad=int(tokenizer.pad_token_id or 0),
        seed=recipe.seed,
    )
    level_tokens = [torch.from_numpy(ids).to(backbone.model.device) for ids in bundle.level_tokens]
    return TrainingSetup(bundle, recipe, backbone, batches, level_tokens)


def _recipe(bundle: Bundle) -> Recipe:
    try:
        return Recipe.model_validate(bundle.manifest.settings)
    except ValidationError as error:
        raise TrainerError(f"{bundle.path}/manifest.json has settings of another version: {error}") from error
