"""LoRA (Hu et al., arXiv 2106.09685) by peft, on the layers that GEMS projects, and merged into them at the end."""

from __future__ import annotations

import torch

from trainer.config.recipe import Recipe
from trainer.distributed.group import SINGLE_PROCESS, ProcessGroup
from trainer.methods.adamw import AdamWTuning
from trainer.methods.gems import gems_config
from trainer.methods.targets import adapter_targets
from trainer.model.backbone import Backbone


class LoraTuning(AdamWTuning):
    """Trains peft's adapters, which replace layers of the backbone's model.

    peft freezes every other weight. Those that GEMS trains by AdamW are unfrozen again and trained in the same way, so
    tied embeddings stay tied, and only the rows that `gems.vocabulary_rows` names are trained.
    """

    def __init__(self, backbone: Backbone, recipe: Recipe, group: ProcessGroup = SINGLE_PROCESS) -> None:
        from peft import LoraConfig, get_peft_model

        settings, config = recipe.lora, gems_config(recipe, backbone)
        targets = adapter_targets(backbone.model, config, setting="lora.rank", rank=settings.rank)
        torch.manual_seed(recipe.seed)  # peft draws the adapters from the global generator
        self._adapted = get_peft_model(
            backbone.model,
            LoraConfig(
                r=settings.rank,
                lora_alpha=settings.alpha,
                lora_dropout=settings.dropout,
                target_modules=list(targets.modules),
            ),
        )
        adapters = {name: weight for name, weight in backbone.model.named_parameters() if weight.requires_grad}
        for weight in targets.plain:
            weight.weight.requires_grad_(True)
        super().__init__(adapters, settings, targets.plain, config, group)

    def finish(self) -> None:
        """Adds every adapter's product to its layer, rounded to the layer's type, and removes the adapters."""
        self._adapted.merge_and_unload()
