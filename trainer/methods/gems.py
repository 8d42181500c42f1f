"""GEMS for the training loop: estimates the backbone's null spaces and runs `GemsOptimizer` with the recipe's settings.

The method `single_subspace` is the same optimiser with the shared subspace alone and no null space: low-rank projection
of gradients, as in GaLore (Zhao et al., arXiv 2403.03507). It differs from GaLore in what it shares with GEMS: a new
basis comes from a sketch of the gradient and not from its SVD, is used from the next step on, and takes Adam's moments
along by a rotation.
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
from trainer.core.progress import print_line
from trainer.data.corpus import text_batches, token_rows, token_stream
from trainer.distributed.fsdp import global_mean_loss
from trainer.distributed.group import SINGLE_PROCESS, ProcessGroup
from trainer.gems.nullspace.cache import cached_null_spaces
from trainer.gems.nullspace.space import Energy, NullSpace, Relative, Threshold
from trainer.gems.optimizer import GemsOptimizer
from trainer.methods.protocol import StepResult
from trainer.model.backbone import Backbone


class GemsTuning:
    """GemsOptimizer as a `Method` of the training loop.

    documents: general text, whose null spaces are estimated; updates stay inside them.
    cache: the folder in which null spaces are kept.
    group: the ranks that share each batch, and with `training.shard` the weights too.
    """

    unservable_reason: str | None = None

    def __init__(
        self,
        backbone: Backbone,
        recipe: Recipe,
        documents: Sequence[str],
        cache: Path,
        group: ProcessGroup = SINGLE_PROCESS,
    ) -> None:
        config = gems_config(recipe, backbone)
        sharded = recipe.training.shard
        self._shard_group, replica_group = (group, SINGLE_PROCESS) if sharded else (SINGLE_PROCESS, group)
        null_spaces = None
        if config.null_space:  # replicas read what rank 0 has estimated; shards estimate together
            null_spaces = replica_group.rank0_first(
                lambda: _null_spaces(backbone, recipe.null_space, documents, cache, config, self._shard_group), cache
            )
        self._optimizer = GemsOptimizer(
            backbone.model,
            config,
            null_spaces=null_spaces,
            replica_group=replica_group,
            shard_group=self._shard_group,
        )
        self._peaks = [group["lr"] for group in self._optimizer.param_groups]

    def backward(self, loss: torch.Tensor, task: Task, *, tokens: int, batch_tokens: int) -> None:
        part, mean, total_tokens = global_mean_loss(loss, tokens, self._shard_group)
        with self._optimizer.task(task, tokens=total_tokens, loss=mean):
            torch.autograd.backward(part)

    def step(self, lr_share: float) -> StepResult:
        for group, peak in zip(self._optimizer.param_groups, self._peaks, strict=True):
            group["lr"] = peak * lr_share
        stats = self._optimizer.step()
        gates = {"α_s": stats.gates.search, "α_r": stats.gates.recommendation}
        return StepResult(stats.applied, gates if self._optimizer.config.decomposition else {})

    def memory(self) -> dict[str, int]:
        """How many bytes the optimiser holds now, by part."""
        return self._optimizer.memory()

    def finish(self) -> None:
        """Takes no more gradients; the weights are the tuned ones already."""
        self._optimizer.close()

    def state_dict(self) -> dict[str, Any]:
        return self._optimizer.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._optimizer.load_state_dict(state)


def gems_config(recipe: Recipe, backbone: Backbone) -> GemsConfig:
    """The optimiser's settings: the recipe's `gems` section, with the run's seed, as the recipe's method needs them.

    Unless the section says otherwise, the rows that were added to the vocabulary are trained, and no others.
    """
    rows = backbone.text_rows if recipe.gems.vocabulary_rows == "none" else recipe.gems.vocabulary_rows
    config = replace(recipe.gems, vocabulary_rows=rows, seed=recipe.seed)
    if recipe.method == "single_subspace":
        return replace(config, decomposition=False, null_space=False)
    return config


def general_text_batches(
    backbone: Backbone, recipe: NullSpaceRecipe, documents: Sequence[str]
) -> list[dict[str, torch.Tensor]]:
    """The batches of general text from which null spaces are estimated, as the recipe's `null_space` section says.

    documents: general text. In an encoder-decoder, both parts read it.

    Raises TrainerError where the documents are too short.
    """
    stream = token_stream(documents, backbone.text_tokenizer)
    batches = list(text_batches(token_rows(stream, recipe.text_tokens, recipe.texts, seed=0)))
    if backbone.is_seq2seq:
        return [batch | {"decoder_input_ids": batch["input_ids"]} for batch in batches]
    return batches


def threshold_of(recipe: NullSpaceRecipe) -> Threshold:
    """The threshold of the recipe's `null_space` section, which decides how many directions are protected."""
    return Energy(recipe.energy) if recipe.relative is None else Relative(recipe.relative)


def _null_spaces(
    backbone: Backbone,
    recipe: NullSpaceRecipe,
    documents: Sequence[str],
    cache: Path,
    config: GemsConfig,
    shard_group: ProcessGroup,
) -> dict[str, NullSpace]:
    batches = general_text_batches(backbone, recipe, documents)
    spaces = cached_null_spaces(
        cache,
        backbone.model,
        batches,
        side=recipe.side,
        threshold=threshold_of(recipe),
        modules=config.modules,
        shard_group=shard_group,
    )
    free = sum(space.free / space.width for space in spaces.values()) / len(spaces)
    texts = sum(len(batch["input_ids"]) for batch in batches)
    print_line(f"null spaces of {len(spaces)} layers from {texts} texts: {free:.0%} of the directions are free")
    return spaces
