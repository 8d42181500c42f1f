"""Full fine-tuning with AdamW: every weight is trained, and both tasks share one gradient."""

from __future__ import annotations

from transformers import PreTrainedModel

from trainer.config.recipe import FullRecipe
from trainer.distributed.group import SINGLE_PROCESS, ProcessGroup
from trainer.methods.adamw import AdamWTuning


class FullTuning(AdamWTuning):
    """Trains every trainable weight of the model by torch's AdamW."""

    def __init__(self, model: PreTrainedModel, recipe: FullRecipe, group: ProcessGroup = SINGLE_PROCESS) -> None:
        super().__init__([p for p in model.parameters() if p.requires_grad], recipe, group=group)
