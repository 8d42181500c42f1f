"""The weights that adapter methods train: adapters on the layers that GEMS projects, and GEMS's plain weights."""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn
from transformers import PreTrainedModel

from trainer.config.gems import GemsConfig
from trainer.core.errors import SettingsError
from trainer.gems.adam import PlainWeight
from trainer.gems.parameters import plain_weights, projected_modules


@dataclass(frozen=True, slots=True)
class Targets:
    """What an adapter method trains.

    modules: the layers that get adapters, by name; their own weights are frozen.
    plain: norms, biases and the trained rows of the vocabulary, which AdamW trains.
    """

    modules: dict[str, nn.Linear]
    plain: list[PlainWeight]


def adapter_targets(model: PreTrainedModel, config: GemsConfig, *, setting: str, rank: int) -> Targets:
    """The targets in a model that has no adapters yet.

    config: the settings of GEMS, whose `modules` and `vocabulary_rows` hold here too.
    setting: the name of the setting that `rank` comes from, for the message of an error.
    rank: the rank of the adapters.

    Raises BackboneError where the model has none of `config.modules`, and SettingsError where a layer is too narrow for
    the rank.
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
