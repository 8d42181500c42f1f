"""A mixture of LoRA experts (arXiv 2312.09979) on the layers that GEMS projects; see experts.py.

The router looks at every token, so no weight matrix does what the mixture does: it cannot be merged, and a bundle is a
plain checkpoint. Averaging the experts would publish another model than the one that was evaluated. So a run with this
method ends in its evaluation, to stand beside the others, and publishes nothing.
"""

from __future__ import annotations

from torch import nn
from transformers import PreTrainedModel

from trainer.config.recipe import LoraMoeRecipe, Recipe
from trainer.distributed.group import ALONE, ProcessGroup
from trainer.gems.randomness import generator_for
from trainer.methods.adamw import AdamWTuning
from trainer.methods.experts import LoraExperts
from trainer.methods.gems import gems_config
from trainer.methods.targets import adapter_targets
from trainer.model.backbone import Backbone


class LoraMoeTuning(AdamWTuning):
    obstacle = "its experts are weighed anew for every token, which no plain checkpoint can do"

    def __init__(self, backbone: Backbone, recipe: Recipe, processes: ProcessGroup = ALONE) -> None:
        settings, config = recipe.lora_moe, gems_config(recipe, backbone)
        targets = adapter_targets(backbone.model, config, setting="lora_moe.rank", rank=settings.rank)
        layers = [
            _replace(backbone.model, name, module, settings, recipe.seed) for name, module in targets.modules.items()
        ]
        super().__init__(
            [weight for layer in layers for weight in layer.adapters()], settings, targets.beside, config, processes
        )


def _replace(model: PreTrainedModel, name: str, module: nn.Linear, recipe: LoraMoeRecipe, seed: int) -> LoraExperts:
    layer = LoraExperts(
        module,
        experts=recipe.experts,
        rank=recipe.rank,
        alpha=recipe.alpha,
        dropout=recipe.dropout,
        draw=generator_for(seed, "experts", name, device=module.weight.device),
    )
    module.weight.requires_grad_(False)
    parent, _, own = name.rpartition(".")
    setattr(model.get_submodule(parent), own, layer)
    return layer
