"""Training batches: their sequences as tensors, one task in each micro-batch, and the loss of a micro-batch.

B sequences, T positions, H hidden size, P predicted items, L levels, C codes of a level.
"""

from __future__ import annotations

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
from trainer.data.child_masks import ChildMasks
from trainer.data.examples import (
    HistoryPrompts,
    HistoryWindows,
    MixedSource,
    SequenceSource,
    SyntheticSearchPrompts,
    SyntheticSearchWindows,
    TrainingSequence,
)
from trainer.data.histories import Histories
from trainer.data.micro_batches import divide_by_length
from trainer.distributed.group import SINGLE_PROCESS, ProcessGroup


@dataclass(frozen=True, slots=True)
class TaskBatch:
    """A micro-batch: sequences of one task, padded on the right. All tensors but `children` are int64.

    task: the task of all its sequences.
    ids_BT: token ids.
    mask_BT: 1 where there is a token, 0 for padding.
    codes_PL: the codes of the items to predict.
    rows_P: for each of these items, the row of `ids_BT` that it belongs to.
    starts_P: for each of these items, the position of its first code in that row; 0 for encoder-decoders.
    children: for every level, which codes follow the codes before in some item's identifier, bool [P, C]; None if the
        loss does not need it.
    dummy: whether it is there only so that all ranks run equally many passes. Its loss has no weight.
    """

    task: Task
    ids_BT: torch.Tensor
    mask_BT: torch.Tensor
    codes_PL: torch.Tensor
    rows_P: torch.Tensor
    starts_P: torch.Tensor
    children: tuple[torch.Tensor, ...] | None = field(default=None, kw_only=True)
    dummy: bool = field(default=False, kw_only=True)

    @property
    def tokens(self) -> int:
        """The number of target tokens, which is this micro-batch's weight in the batch."""
        return 0 if self.dummy else self.codes_PL.numel()

    @property
    def input_tokens(self) -> int:
        """The number of tokens that the model reads, padding not counted."""
        return 0 if self.dummy else int(self.mask_BT.sum())

    def to(self, device: torch.device) -> TaskBatch:
        def move(tensor: torch.Tensor) -> torch.Tensor:
            return tensor.to(device, non_blocking=True)

        tensors = (self.ids_BT, self.mask_BT, self.codes_PL, self.rows_P, self.starts_P)
        children = None if self.children is None else tuple(map(move, self.children))
        return TaskBatch(self.task, *map(move, tensors), children=children, dummy=self.dummy)


class Batches:
    """Draws the batch of any step. The same seed and step give the same batch, whatever the number of ranks.

    train: the histories to draw from.
    items: the catalog, in leaf order.
    codes_NL: the codes of its items.
    prompts: renders items and queries as tokens.
    recipe: how many sequences of each task a batch has, and how they are drawn.
    seq2seq: whether the model is an encoder-decoder, which learns one item in each sequence.
    pad: the id of the padding token.
    group: the ranks that share each batch. Each rank draws the whole batch, item dropout included, and keeps its slice
        of each task's sequences.

    Raises SettingsError if there are more ranks than sequences.
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
        group: ProcessGroup = SINGLE_PROCESS,
    ) -> None:
        self._group = group
        self._codes_NL, self._recipe, self._pad, self._seed = codes_NL, recipe, pad, seed
        self._children = ChildMasks(codes_NL, prompts.code_sizes) if recipe.loss == "children" else None
        self._sources: dict[Task, SequenceSource] = {}
        self._counts = {"search": recipe.search_sequences, "recommendation": recipe.recommendation_sequences}
        max_sequences = max(self._counts.values())
        if group.world_size > max(1, max_sequences):
            raise SettingsError(
                f"{group.world_size} processes cannot share at most {max_sequences} sequences of a task: start fewer, "
                "or raise training.search_sequences and training.recommendation_sequences"
            )
        causal, encoder_decoder = (HistoryWindows, SyntheticSearchWindows), (HistoryPrompts, SyntheticSearchPrompts)
        from_histories, from_texts = encoder_decoder if seq2seq else causal
        for task in TASKS:
            typed = from_histories(train, prompts, task, item_dropout=recipe.item_dropout, by=recipe.user_sampling)
            share = recipe.alignment_share if task == "search" else 0.0
            if len(typed) and share:
                self._sources[task] = MixedSource(typed, from_texts(items, prompts), share)
            elif len(typed):
                self._sources[task] = typed
            elif share:
                self._sources[task] = from_texts(items, prompts)

    def micro_batches(self, step: int) -> Iterator[list[TaskBatch]]:
        """For each task, the micro-batches of this rank's slice of the step's sequences.

        A task without sequences is left out. If the weights are sharded, all ranks get equally many micro-batches of
        each task, some of which may be dummies.
        """
        for task, drawn in self._draw(step).items():
            drawn.sort(key=lambda s: len(s.ids))
            # sorted, so every rank gets as many long ones
            divided = [self._divide(drawn[rank :: self._group.world_size]) for rank in range(self._group.world_size)]
            parts = [self._collate(task, part) for part in divided[self._group.rank]]
            if self._recipe.shard and drawn:
                passes = max(map(len, divided))
                parts += [replace(self._collate(task, drawn[:1]), dummy=True)] * (passes - len(parts))
            if parts:
                yield parts

    def _draw(self, step: int) -> dict[Task, list[TrainingSequence]]:
        """The sequences of each task in a step's batch.

        If they have more than `max_tokens`, each task gives up as large a share of its tokens, in sequences that are
        drawn from all of its own. So a batch of long sequences has fewer of them, whose losses are averaged as always.
        At least one sequence is left for every rank.
        """
        drawn = {
            task: list(source.draw(self._counts[task], self._generator(step, TASKS.index(task))))
            for task, source in self._sources.items()
        }
        total = sum(len(s.ids) for sequences in drawn.values() for s in sequences)
        if self._recipe.max_tokens is None or total <= self._recipe.max_tokens:
            return drawn
        share = self._recipe.max_tokens / total
        for task, sequences in drawn.items():
            if not sequences:
                continue
            order = self._generator(step, len(TASKS) + TASKS.index(task)).permutation(len(sequences))
            tokens = np.cumsum([len(sequences[i].ids) for i in order])
            kept = int(np.searchsorted(tokens, share * tokens[-1], side="right"))
            drawn[task] = [sequences[i] for i in order[: max(kept, self._group.world_size)]]
        return drawn

    def _generator(self, step: int, stream: int) -> np.random.Generator:
        return np.random.default_rng((self._seed, step, stream))

    def _divide(self, sequences: Sequence[TrainingSequence]) -> list[Sequence[TrainingSequence]]:
        """The sequences, which are sorted by length, as micro-batches."""
        parts = divide_by_length(
            [len(s.ids) for s in sequences],
            max_sequences=self._recipe.micro_batch,
            max_tokens=self._recipe.micro_tokens,
            pass_tokens=self._recipe.pass_tokens,
        )
        return [sequences[part] for part in parts]

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
        children = None if self._children is None else tuple(map(torch.from_numpy, self._children.of(leaves)))
        return TaskBatch(task, *map(torch.from_numpy, arrays), children=children)


def task_loss(
    model: PreTrainedModel, batch: TaskBatch, level_tokens: Sequence[torch.Tensor], recipe: TrainingRecipe
) -> torch.Tensor:
    """The mean cross-entropy of a micro-batch's target tokens, a scalar.

    level_tokens: the vocabulary ids of every level's codes, int64 [C] each.
    recipe: `loss` says whether the softmax runs over the codes of a level, over those that follow the codes before in
        some identifier (so that the likelihoods of all items sum to one), or over the vocabulary.
    """
    states_PLH = target_states(model, batch, level_tokens)
    head_VH = model.get_output_embeddings().weight
    total = states_PLH.new_zeros((), dtype=torch.float32)
    for level, tokens_C in enumerate(level_tokens):
        target_P = batch.codes_PL[:, level]
        if recipe.loss == "vocabulary":
            logits, target_P = states_PLH[:, level] @ head_VH.T, tokens_C[target_P]
        else:
            logits = states_PLH[:, level] @ head_VH[tokens_C].T
        if batch.children is not None:
            total = total + _loss_over(batch.children[level], logits.float(), target_P, recipe.label_smoothing)
        else:
            total = total + functional.cross_entropy(
                logits.float(), target_P, reduction="sum", label_smoothing=recipe.label_smoothing
            )
    return total / batch.codes_PL.numel()


def _loss_over(
    children_PC: torch.Tensor, logits_PC: torch.Tensor, target_P: torch.Tensor, label_smoothing: float
) -> torch.Tensor:
    """The summed cross-entropy of a softmax over each row's children."""
    logp_PC = logits_PC.masked_fill(~children_PC, -torch.inf).log_softmax(1)
    loss_P = -logp_PC.gather(1, target_P[:, None])[:, 0]
    if label_smoothing > 0:
        even_P = -logp_PC.masked_fill(~children_PC, 0).sum(1) / children_PC.sum(1)
        loss_P = (1 - label_smoothing) * loss_P + label_smoothing * even_P
    return loss_P.sum()


def target_states(model: PreTrainedModel, batch: TaskBatch, level_tokens: Sequence[torch.Tensor]) -> torch.Tensor:
    """The hidden states from which each code is predicted, [P, L, H].

    level_tokens: the vocabulary ids of every level's codes, int64 [C] each.
    """
    depth = batch.codes_PL.shape[1]
    if not model.config.is_encoder_decoder:
        states_BTH: torch.Tensor = model.base_model(input_ids=batch.ids_BT, use_cache=False).last_hidden_state
        steps_PL = batch.starts_P[:, None] - 1 + torch.arange(depth, device=batch.ids_BT.device)
        return states_BTH[batch.rows_P[:, None], steps_PL]
    tokens_PL = torch.stack([level_tokens[i][batch.codes_PL[:, i]] for i in range(depth)], 1)
    start_P1 = tokens_PL.new_full((len(tokens_PL), 1), model.config.decoder_start_token_id)
    encoded = model.get_encoder()(input_ids=batch.ids_BT, attention_mask=batch.mask_BT).last_hidden_state
    states_PLH: torch.Tensor = model.get_decoder()(
        input_ids=torch.cat([start_P1, tokens_PL[:, :-1]], 1),
        encoder_hidden_states=encoded,
        encoder_attention_mask=batch.mask_BT,
        use_cache=False,
    ).last_hidden_state
    return states_PLH * model.config.d_model**-0.5 if model.config.scale_decoder_outputs else states_PLH
