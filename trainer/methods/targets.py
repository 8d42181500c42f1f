"""What an adapter method works on: the layers that GEMS projects, and beside them the weights it leaves to AdamW."""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn
from transformers import PreTrainedModel

from trainer.config.gems import GemsConfig
from trainer.core.errors import SettingsError
from trainer.gems.parameters import plain_weights, projected_modules
from trainer.gems.plain import PlainWeight


@dataclass(frozen=True, slots=True)
class Targets:
    modules: dict[str, nn.Linear]  # get adapters; their own weights stay as they are
    beside: list[PlainWeight]  # norms, biases and the moving rows of the vocabulary


def adapter_targets(model: PreTrainedModel, config: GemsConfig, *, setting: str, rank: int) -> Targets:
    """To be asked before the adapters are put in.

    Raises BackboneError where the model has none of `config.modules`, and SettingsError where a layer has no room for
    `rank`, naming the layer and the `setting` to lower.
    """
    modules = projected_modules(model, config.modules)
    room = {name: min(module.weight.shape) for name, module in modules.items()}
    narrow = [name for name in modules if room[name] < rank]
    if narrow:
        raise SettingsError(
            f"{setting} is {rank}, but {narrow[0]} {list(modules[narrow[0]].weight.shape)} has room for "
            f"{room[narrow[0]]}: set it to {min(room.values())} or less"
        )
    return Targets(modules, plain_weights(model, {module.weight for module in modules.values()}, config))
