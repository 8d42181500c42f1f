"""GEMS in the training loop: the null spaces of the backbone, then `GemsOptimizer` with the recipe's settings.

`single_subspace` is the same optimiser with the shared subspace alone, and no null space: gradient low-rank projection
as in GaLore (Zhao et al., arXiv 2403.03507). Unlike GaLore, as GEMS does: a refresh takes a sketch of the gradient in
place of its SVD, serves from the next step on, and turns Adam's moments into the new basis.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from catalog.text.prompts import Task
from trainer.config.gems import GemsConfig
from trainer.config.recipe import NullSpaceRecipe, Recipe
from trainer.core.progress import say
from trainer.data.corpus import text_batches, token_rows, token_stream
from trainer.distributed.fsdp import share_loss
from trainer.distributed.group import ALONE, ProcessGroup
from trainer.gems.nullspace.cache import cached_null_spaces
from trainer.gems.nullspace.space import Energy, NullSpace, Relative, Threshold
from trainer.gems.optimizer import GemsOptimizer
from trainer.methods.protocol import StepResult
from trainer.model.backbone import Backbone


class GemsTuning:
    """Adapts GemsOptimizer to what the loop calls."""

    obstacle: str | None = None

    def __init__(
        self, backbone: Backbone, recipe: Recipe, documents: Sequence[str], cache: Path, processes: ProcessGroup = ALONE
    ) -> None:
        config = gems_config(recipe, backbone)
        sharded = recipe.training.shard
        self._shards, sharers = (processes, ALONE) if sharded else (ALONE, processes)
        spaces = None
        if config.null_space:  # process 0 estimates them, or all do with what each holds; the others read what it wrote
            spaces = sharers.first(
                lambda: _null_spaces(backbone, recipe.null_space, documents, cache, config, self._shards)
            )
        self._optimizer = GemsOptimizer(
            backbone.model, config, null_spaces=spaces, processes=sharers, shards=self._shards
        )
        self._peaks = [group["lr"] for group in self._optimizer.param_groups]

    def backward(self, loss: torch.Tensor, task: Task, *, tokens: int, batch_tokens: int) -> None:
        part, mean, everyone = share_loss(loss, tokens, self._shards)
        with self._optimizer.task(task, tokens=everyone, loss=mean):
            torch.autograd.backward(part)

    def step(self, lr_share: float) -> StepResult:
        for group, peak in zip(self._optimizer.param_groups, self._peaks, strict=True):
            group["lr"] = peak * lr_share
        stats = self._optimizer.step()
        gates = {"α_s": stats.gates.search, "α_r": stats.gates.recommendation}
        return StepResult(stats.applied, gates if self._optimizer.config.decomposition else {})

    def finish(self) -> None:
        """The weights are in place; only the hooks have to go."""
        self._optimizer.close()

    def state_dict(self) -> dict[str, Any]:
        return self._optimizer.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._optimizer.load_state_dict(state)


def gems_config(recipe: Recipe, backbone: Backbone) -> GemsConfig:
    """The recipe's `gems` section; of the vocabulary only the added rows move unless it says otherwise."""
    rows = backbone.text_rows if recipe.gems.vocabulary_rows == "none" else recipe.gems.vocabulary_rows
    config = replace(recipe.gems, vocabulary_rows=rows, seed=recipe.seed)
    if recipe.method == "single_subspace":
        return replace(config, decomposition=False, null_space=False)
    return config


def _null_spaces(
    backbone: Backbone,
    recipe: NullSpaceRecipe,
    documents: Sequence[str],
    cache: Path,
    config: GemsConfig,
    shards: ProcessGroup,
) -> dict[str, NullSpace]:
    stream = token_stream(documents, backbone.text_tokenizer)
    rows_NT = token_rows(stream, recipe.text_tokens, recipe.texts, seed=0)
    batches = list(text_batches(rows_NT))
    if backbone.is_seq2seq:  # the decoder reads the same text
        batches = [batch | {"decoder_input_ids": batch["input_ids"]} for batch in batches]
    threshold: Threshold = Energy(recipe.energy) if recipe.relative is None else Relative(recipe.relative)
    spaces = cached_null_spaces(
        cache, backbone.model, batches, side=recipe.side, threshold=threshold, modules=config.modules, shards=shards
    )
    free = sum(space.free / space.width for space in spaces.values()) / len(spaces)
    say(f"null spaces of {len(spaces)} layers from {len(rows_NT)} texts: {free:.0%} of the directions are free")
    return spaces
