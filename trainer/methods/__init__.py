"""How the weights move. Each method is one way to turn a batch's losses into an update."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from trainer.config.recipe import Recipe
from trainer.distributed.group import ALONE, ProcessGroup
from trainer.methods.full import FullTuning
from trainer.methods.gems import GemsTuning
from trainer.methods.lora import LoraTuning
from trainer.methods.lora_moe import LoraMoeTuning
from trainer.methods.protocol import Method, StepResult
from trainer.model.backbone import Backbone

__all__ = ["Method", "StepResult", "create_method"]


def create_method(
    backbone: Backbone, recipe: Recipe, documents: Sequence[str], cache: Path, processes: ProcessGroup = ALONE
) -> Method:
    """The method that the recipe names, ready to train this backbone. It may change the model's modules.

    documents: general text whose null spaces are kept in the folder `cache`. processes: those that share each batch.
    Raises TrainerError.
    """
    if recipe.method == "full":
        return FullTuning(backbone.model, recipe.full, processes)
    if recipe.method == "lora":
        return LoraTuning(backbone, recipe, processes)
    if recipe.method == "lora_moe":
        return LoraMoeTuning(backbone, recipe, processes)
    return GemsTuning(backbone, recipe, documents, cache, processes)
