"""Full fine-tuning with AdamW: every weight is trained, and both tasks share one gradient."""

from __future__ import annotations

from transformers import PreTrainedModel

from trainer.config.recipe import FullRecipe
from trainer.distributed.group import SINGLE_PROCESS, ProcessGroup
from trainer.methods.adamw import AdamWTuning


class FullTuning(AdamWTuning):
    """Trains every trainable weight of the model by AdamW."""

    def __init__(self, model: PreTrainedModel, recipe: FullRecipe, group: ProcessGroup = SINGLE_PROCESS) -> None:
        trained = {name: weight for name, weight in model.named_parameters() if weight.requires_grad}
        super().__init__(trained, recipe, group=group)
