"""Training methods: each turns the losses of a batch into an update of the weights. Start reading at protocol.py."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from trainer.config.recipe import Recipe
from trainer.distributed.group import SINGLE_PROCESS, ProcessGroup
from trainer.methods.full import FullTuning
from trainer.methods.gems import GemsTuning
from trainer.methods.lora import LoraTuning
from trainer.methods.lora_moe import LoraMoeTuning
from trainer.methods.protocol import Method, StepResult
from trainer.model.backbone import Backbone

__all__ = ["Method", "StepResult", "create_method"]


def create_method(
    backbone: Backbone,
    recipe: Recipe,
    documents: Sequence[str],
    cache: Path,
    group: ProcessGroup = SINGLE_PROCESS,
) -> Method:
    """The method that the recipe names, ready to train this backbone. It may replace modules of the backbone's model.

    documents: general text, whose null spaces GEMS estimates.
    cache: the folder in which null spaces are kept.
    group: the ranks that share each batch.

    Raises TrainerError for a model or corpus that does not fit the settings.
    """
    if recipe.method == "full":
        return FullTuning(backbone.model, recipe.full, group)
    if recipe.method == "lora":
        return LoraTuning(backbone, recipe, group)
    if recipe.method == "lora_moe":
        return LoraMoeTuning(backbone, recipe, group)
    return GemsTuning(backbone, recipe, documents, cache, group)
