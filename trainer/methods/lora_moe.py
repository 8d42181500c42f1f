"""A mixture of LoRA experts (arXiv 2312.09979) on the layers that GEMS projects; the layer is in experts.py.

The router weighs the experts anew for every token, so no single weight matrix computes what the mixture does: it cannot
be merged, and a bundle holds a plain checkpoint. Averaging the experts would publish another model than the one that
was evaluated. A run with this method therefore ends in its evaluation, for comparison, and publishes no bundle.
"""

from __future__ import annotations

from torch import nn
from transformers import PreTrainedModel

from trainer.config.recipe import LoraMoeRecipe, Recipe
from trainer.distributed.group import SINGLE_PROCESS, ProcessGroup
from trainer.gems.numerics import generator_for
from trainer.methods.adamw import AdamWTuning
from trainer.methods.experts import LoraExperts
from trainer.methods.gems import gems_config
from trainer.methods.targets import adapter_targets
from trainer.model.backbone import Backbone


class LoraMoeTuning(AdamWTuning):
    """Trains experts and routers, and beside them the weights that GEMS does not project, by AdamW."""

    unservable_reason = "its experts are weighed anew for every token, which no plain checkpoint can do"

    def __init__(self, backbone: Backbone, recipe: Recipe, group: ProcessGroup = SINGLE_PROCESS) -> None:
        settings, config = recipe.lora_moe, gems_config(recipe, backbone)
        targets = adapter_targets(backbone.model, config, setting="lora_moe.rank", rank=settings.rank)
        adapters: dict[str, nn.Parameter] = {}
        for name, module in targets.modules.items():
            layer = _replace(backbone.model, name, module, settings, recipe.seed)
            adapters |= {f"{name}.{number}": weight for number, weight in enumerate(layer.adapters())}
        super().__init__(adapters, settings, targets.plain, config, group)


def _replace(model: PreTrainedModel, name: str, module: nn.Linear, recipe: LoraMoeRecipe, seed: int) -> LoraExperts:
    layer = LoraExperts(
        module,
        experts=recipe.experts,
        rank=recipe.rank,
        alpha=recipe.alpha,
        dropout=recipe.dropout,
        generator=generator_for(seed, "experts", name, device=module.weight.device),
    )
    module.weight.requires_grad_(False)
    parent, _, own = name.rpartition(".")
    setattr(model.get_submodule(parent), own, layer)
    return layer
