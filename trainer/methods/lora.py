"""LoRA (Hu et al., arXiv 2106.09685) with peft, on the layers that GEMS projects; merged into them at the end."""

from __future__ import annotations

import torch

from trainer.config.recipe import Recipe
from trainer.distributed.group import ALONE, ProcessGroup
from trainer.methods.adamw import AdamWTuning
from trainer.methods.gems import gems_config
from trainer.methods.targets import adapter_targets
from trainer.model.backbone import Backbone


class LoraTuning(AdamWTuning):
    """peft's adapters go into the backbone's model itself, so the loop trains and evaluates the model it always does.

    peft freezes every other weight; those that GEMS gives to AdamW are let move again, beside peft. So tied embeddings
    stay tied, and only the rows that `gems.vocabulary_rows` names move.
    """

    def __init__(self, backbone: Backbone, recipe: Recipe, processes: ProcessGroup = ALONE) -> None:
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
        adapters = [weight for weight in backbone.model.parameters() if weight.requires_grad]
        for weight in targets.beside:
            weight.weight.requires_grad_(True)
        super().__init__(adapters, settings, targets.beside, config, processes)

    def finish(self) -> None:
        """Adds every adapter's product to its layer, rounded to the layer's type, and takes the adapters out."""
        self._adapted.merge_and_unload()
