"""How the weights move. Each method is one way to turn a batch's losses into an update."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from trainer.backbone import Backbone
from trainer.methods.full import FullTuning
from trainer.methods.gems import GemsTuning
from trainer.methods.protocol import Method, StepResult
from trainer.recipe import Recipe

__all__ = ["Method", "StepResult", "create_method"]


def create_method(backbone: Backbone, recipe: Recipe, documents: Sequence[str], cache: Path) -> Method:
    """The method that the recipe names, ready to train this backbone.

    documents: general text whose null spaces are kept in the folder `cache`. Raises TrainerError.
    """
    if recipe.method == "full":
        return FullTuning(backbone.model, recipe.full)
    return GemsTuning(backbone, recipe, documents, cache)
