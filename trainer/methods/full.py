"""Full fine-tuning with AdamW: every weight moves, both tasks share one gradient."""

from __future__ import annotations

from transformers import PreTrainedModel

from trainer.config.recipe import FullRecipe
from trainer.distributed.group import ALONE, ProcessGroup
from trainer.methods.adamw import AdamWTuning


class FullTuning(AdamWTuning):
    def __init__(self, model: PreTrainedModel, recipe: FullRecipe, processes: ProcessGroup = ALONE) -> None:
        super().__init__([p for p in model.parameters() if p.requires_grad], recipe, processes=processes)
