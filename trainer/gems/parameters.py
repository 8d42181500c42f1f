"""Sorts a model's weights into projected ones and plain ones, and finds the trained rows of vocabulary weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from typing import Any, cast

import torch
from torch import Tensor, nn

from trainer.config.gems import PROJECTED_MODULES, GemsConfig, Rows
from trainer.core.errors import BackboneError, SettingsError
from trainer.distributed.group import SINGLE_PROCESS, ProcessGroup
from trainer.gems.adam import PlainWeight
from trainer.gems.layer import ProjectedLayer
from trainer.gems.nullspace.space import NullSpace

__all__ = ["parameter_groups", "plain_weights", "projected_layers", "projected_modules"]


def projected_modules(model: nn.Module, names: Sequence[str]) -> dict[str, nn.Linear]:
    """The trainable linear layers to project, by name, in the model's order.

    names: the last parts of their names, such as "q_proj".

    Raises BackboneError, listing the linear layers that there are, if no layer matches, and for two that have one
    weight; SettingsError for a name that matches none and is not one of PROJECTED_MODULES.
    """
    linear = {name: module for name, module in model.named_modules() if isinstance(module, nn.Linear)}
    matching = {
        name: module
        for name, module in linear.items()
        if name.rpartition(".")[2] in names and module.weight.requires_grad
    }
    present = ", ".join(sorted({name.rpartition(".")[2] for name in linear})) or "none"
    if not matching:
        raise BackboneError(
            f"{type(model).__name__} has no trainable linear layer named {', '.join(names)}; "
            f"it has: {present}. Name those to project in gems.modules"
        )
    owners: dict[Tensor, str] = {}
    for name, module in matching.items():
        if (first := owners.setdefault(module.weight, name)) != name:
            raise BackboneError(f"{first} and {name} have one weight, which cannot be projected for two layers")
    missing = set(names) - {name.rpartition(".")[2] for name in matching} - set(PROJECTED_MODULES)
    if missing:
        raise SettingsError(f"gems.modules: no layer is named {', '.join(sorted(missing))}; there are: {present}")
    return matching


def projected_layers(
    model: nn.Module,
    config: GemsConfig,
    null_spaces: Mapping[str, NullSpace] | None,
    shard_group: ProcessGroup = SINGLE_PROCESS,
) -> list[ProjectedLayer]:
    """A ProjectedLayer for every weight to project. Those beside each other share a null space that is the same.

    null_spaces: the null space of each of these layers, by the layer's name; unused where `config.null_space` is False.
    shard_group: the ranks among which sharded weights are split.

    Raises SettingsError where a null space is missing.
    """
    modules = projected_modules(model, config.modules)
    spaces = null_spaces or {}
    missing = [name for name in modules if name not in spaces]
    if config.null_space and missing:
        raise SettingsError(
            f"gems.null_space is on, but there is no null space for {missing[0]} ({len(missing)} of {len(modules)} "
            "layers): pass what estimate_null_spaces returns, or set it to False"
        )
    turns = min(config.refresh_turns, config.refresh_every)
    layers: list[ProjectedLayer] = []
    beside: dict[str, list[ProjectedLayer]] = {}  # the layers of one part of a block, such as an attention
    for place, (name, module) in enumerate(modules.items()):
        space = spaces[name] if config.null_space else None
        weight = cast(nn.Parameter, module.weight)
        layer = ProjectedLayer(name, weight, config, space, shard_group, first_refresh=place % turns)
        siblings = beside.setdefault(name.rpartition(".")[0], [])
        layer.share_null_space(siblings)
        siblings.append(layer)
        layers.append(layer)
    return layers


def plain_weights(
    model: nn.Module, projected: Set[Tensor], config: GemsConfig, shard_group: ProcessGroup = SINGLE_PROCESS
) -> list[PlainWeight]:
    """A PlainWeight for every trainable weight that is not in `projected`. Tied weights are one.

    projected: the weights of the projected layers.
    shard_group: the ranks among which sharded weights are split.
    """
    vocabulary = _vocabulary_weights(model)
    return [
        PlainWeight(
            name,
            weight,
            _trained_rows(config.vocabulary_rows, name, weight) if weight in vocabulary else None,
            shard_group,
        )
        for name, weight in model.named_parameters()
        if weight.requires_grad and weight not in projected
    ]


def parameter_groups(
    layers: Sequence[ProjectedLayer], plain: Sequence[PlainWeight], config: GemsConfig
) -> list[dict[str, Any]]:
    """The optimiser's parameter groups: projected weights, other matrices, and vectors, which do not decay."""
    shared = {"betas": config.betas, "eps": config.eps}
    groups = [
        {"name": "projected", "params": [layer.weight for layer in layers], "lr": config.lr},
        {"name": "matrices", "params": [p.weight for p in plain if p.weight.ndim >= 2], "lr": config.adamw_lr},
        {"name": "vectors", "params": [p.weight for p in plain if p.weight.ndim < 2], "lr": config.adamw_lr},
    ]
    decay = {"projected": config.weight_decay, "matrices": config.weight_decay, "vectors": 0.0}
    return [group | shared | {"weight_decay": decay[str(group["name"])]} for group in groups]


def _vocabulary_weights(model: nn.Module) -> set[nn.Parameter]:
    """The weights of a transformers model's token embeddings and head: one weight where they are tied."""
    modules = [getattr(model, get, lambda: None)() for get in ("get_input_embeddings", "get_output_embeddings")]
    return {module.weight for module in modules if module is not None}


def _trained_rows(rows: Rows, name: str, weight: nn.Parameter) -> slice | Tensor | None:
    """The trained rows of a vocabulary weight; None for all. Raises SettingsError for rows that it does not have."""
    count = weight.shape[0]
    if rows == "all":
        return None
    if isinstance(rows, str) or rows == ():
        return slice(count, count)
    last = rows if isinstance(rows, int) else max(rows)
    if last >= count:
        raise SettingsError(f"gems.vocabulary_rows names row {last}, but {name} has {count} rows")
    return slice(rows, count) if isinstance(rows, int) else torch.tensor(sorted(set(rows)), device=weight.device)
