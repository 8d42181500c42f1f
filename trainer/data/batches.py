"""A batch: its search half and its recommendation half, as tensors, and the loss of a half.

B sequences, T positions, H hidden size, P predicted items, L levels, C codes of a level.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from torch.nn import functional
from transformers import PreTrainedModel

from catalog.data.items import Items
from catalog.text.prompts import TASKS, PromptFormat, Task
from trainer.config.recipe import TrainingRecipe
from trainer.core.errors import SettingsError
from trainer.data.examples import (
    HistoryWindows,
    InventedSearches,
    Mixed,
    Prompted,
    PromptedInventions,
    Source,
    TrainingSequence,
)
from trainer.data.histories import Histories
from trainer.distributed.group import ALONE, ProcessGroup


@dataclass(frozen=True, slots=True)
class TaskBatch:
    """Sequences of one task, padded on the right."""

    task: Task
    ids_BT: torch.Tensor  # int64
    mask_BT: torch.Tensor  # int64, 1 where there is a token
    codes_PL: torch.Tensor  # int64, codes of the predicted items
    rows_P: torch.Tensor  # int64, the sequence of every predicted item
    starts_P: torch.Tensor  # int64, the position of its first code; 0 for encoder-decoders
    counts: bool = field(default=True, kw_only=True)  # False: there so that all processes run as many passes

    @property
    def tokens(self) -> int:
        """Target tokens: the weight of this half in the batch."""
        return self.codes_PL.numel() if self.counts else 0

    def to(self, device: torch.device) -> TaskBatch:
        tensors = (self.ids_BT, self.mask_BT, self.codes_PL, self.rows_P, self.starts_P)
        return TaskBatch(self.task, *(tensor.to(device, non_blocking=True) for tensor in tensors), counts=self.counts)


class Batches:
    """Draws the batch of any step; the same seed and step give the same batch, whatever the number of processes.

    Each of several draws the whole batch, item dropout and all, and keeps its share of the sequences of either half.
    Raises SettingsError where there are more processes than sequences.
    """

    def __init__(
        self,
        train: Histories,
        items: Items,
        codes_NL: np.ndarray,
        prompts: PromptFormat,
        recipe: TrainingRecipe,
        *,
        seq2seq: bool,
        pad: int,
        seed: int,
        processes: ProcessGroup = ALONE,
    ) -> None:
        self._processes = processes
        self._codes_NL, self._recipe, self._pad, self._seed = codes_NL, recipe, pad, seed
        self._sources: dict[Task, Source] = {}
        self._counts = {"search": recipe.search_sequences, "recommendation": recipe.recommendation_sequences}
        most = max(self._counts.values())
        if processes.world > max(1, most):
            raise SettingsError(
                f"{processes.world} processes cannot share halves of at most {most} sequences: start fewer, or raise "
                "training.search_sequences and training.recommendation_sequences"
            )
        windows, inventions = (Prompted, PromptedInventions) if seq2seq else (HistoryWindows, InventedSearches)
        for task in TASKS:
            own = windows(train, prompts, task, item_dropout=recipe.item_dropout)
            share = recipe.alignment_share if task == "search" else 0.0
            if len(own) and share:
                self._sources[task] = Mixed(own, inventions(items, prompts), share)
            elif len(own):
                self._sources[task] = own
            elif share:
                self._sources[task] = inventions(items, prompts)

    def halves(self, step: int) -> Iterator[list[TaskBatch]]:
        """Per task, the micro-batches of this process's share of that half; a task without any is skipped.

        Where the weights are sharded all processes get equally many, some of which may not count.
        """
        for task, source in self._sources.items():
            generator = np.random.default_rng((self._seed, step, TASKS.index(task)))
            drawn = sorted(source.draw(self._counts[task], generator), key=lambda s: len(s.ids))
            sequences = self._processes.share_of(drawn)  # of long ones as many as the others
            size = self._recipe.micro_batch
            parts = [self._collate(task, sequences[at : at + size]) for at in range(0, len(sequences), size)]
            if self._recipe.shard and drawn:
                most = math.ceil(math.ceil(len(drawn) / self._processes.world) / size)
                parts += [replace(self._collate(task, drawn[:1]), counts=False)] * (most - len(parts))
            if parts:
                yield parts

    def _collate(self, task: Task, sequences: Sequence[TrainingSequence]) -> TaskBatch:
        lengths = [len(s.ids) for s in sequences]
        ids_BT = np.full((len(sequences), max(lengths)), self._pad, dtype=np.int64)
        for row, sequence in enumerate(sequences):
            ids_BT[row, : lengths[row]] = sequence.ids
        mask_BT = np.arange(ids_BT.shape[1]) < np.array(lengths)[:, None]
        leaves = np.array([leaf for s in sequences for leaf in s.leaves])
        rows = np.repeat(np.arange(len(sequences)), [len(s.leaves) for s in sequences])
        starts = np.array([p for s in sequences for p in (s.positions or [0])])
        arrays = (ids_BT, mask_BT.astype(np.int64), self._codes_NL[leaves].astype(np.int64), rows, starts)
        return TaskBatch(task, *(torch.from_numpy(array) for array in arrays))


def half_loss(
    model: PreTrainedModel, half: TaskBatch, level_tokens: Sequence[torch.Tensor], recipe: TrainingRecipe
) -> torch.Tensor:
    """Mean cross-entropy of the target tokens of a half: over the codes of their level, or over the vocabulary.

    level_tokens: vocabulary ids of every level's codes, int64 [C] each.
    """
    states_PLH = target_states(model, half, level_tokens)
    head_VH = model.get_output_embeddings().weight
    total = states_PLH.new_zeros((), dtype=torch.float32)
    for level, tokens_C in enumerate(level_tokens):
        target_P = half.codes_PL[:, level]
        if recipe.loss == "codes":
            logits = states_PLH[:, level] @ head_VH[tokens_C].T
        else:
            logits, target_P = states_PLH[:, level] @ head_VH.T, tokens_C[target_P]
        total = total + functional.cross_entropy(
            logits.float(), target_P, reduction="sum", label_smoothing=recipe.label_smoothing
        )
    return total / half.codes_PL.numel()


def target_states(model: PreTrainedModel, half: TaskBatch, level_tokens: Sequence[torch.Tensor]) -> torch.Tensor:
    """The hidden states that predict each code, [P, L, H]."""
    depth = half.codes_PL.shape[1]
    if not model.config.is_encoder_decoder:
        states_BTH: torch.Tensor = model.base_model(input_ids=half.ids_BT, use_cache=False).last_hidden_state
        steps_PL = half.starts_P[:, None] - 1 + torch.arange(depth, device=half.ids_BT.device)
        return states_BTH[half.rows_P[:, None], steps_PL]
    tokens_PL = torch.stack([level_tokens[i][half.codes_PL[:, i]] for i in range(depth)], 1)
    start_P1 = tokens_PL.new_full((len(tokens_PL), 1), model.config.decoder_start_token_id)
    encoded = model.get_encoder()(input_ids=half.ids_BT, attention_mask=half.mask_BT).last_hidden_state
    states_PLH: torch.Tensor = model.get_decoder()(
        input_ids=torch.cat([start_P1, tokens_PL[:, :-1]], 1),
        encoder_hidden_states=encoded,
        encoder_attention_mask=half.mask_BT,
        use_cache=False,
    ).last_hidden_state
    return states_PLH * model.config.d_model**-0.5 if model.config.scale_decoder_outputs else states_PLH
