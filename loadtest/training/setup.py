"""The training step that every method makes: the same Qwen2-shaped model, batch and null spaces.

Everything is drawn from fixed seeds, so each process makes its own copy.

Shapes: B sequences, T positions, P predicted items, L levels, D numbers of a code's vector, W width, K directions.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from catalog.ids.codes import Codebooks
from catalog.text.prompts import TASKS, level_token_ids
from loadtest.synthetic.qwen import QWEN_SHAPES, large_tokenizer, random_qwen, text_entries
from trainer.config.recipe import BackboneRecipe, LoraRecipe, NullSpaceRecipe, Recipe
from trainer.data.batches import TaskBatch
from trainer.gems import GemsConfig, NullSpace
from trainer.gems.nullspace.space import Side
from trainer.gems.parameters import projected_modules
from trainer.model.backbone import Backbone, add_item_tokens, build_backbone

__all__ = ["METHODS", "Setup", "draw_batches", "draw_null_spaces", "make_backbone", "recipe_of"]

METHODS = {"gems": "gems", "adamw": "full", "single_subspace": "single_subspace", "lora": "lora"}
"""The methods of the benchmark, and the trainer's names for them."""

HEAD = 64
CODE_SIZES = (256, 256, 256)
ITEM_EVERY = 8
"""Positions from one predicted item to the next: about those of a query of four words and of three codes."""
PROTECTED = 0.17
"""Share of the directions of a layer's side that are protected, as an energy of 0.95 gave for the outputs of the base
of docs/method.md's table. Estimating them takes minutes and is no part of a step."""
READERS_OF_ONE_INPUT = ("q_proj", "k_proj", "v_proj", "gate_proj", "up_proj")
"""The first three read one input and the last two another, in blocks of their own."""
WORDS = tuple(f"word {number} of a text" for number in range(400))


@dataclass(frozen=True, slots=True)
class Setup:
    """The size of the training step.

    parameters: the least number of the model's parameters.
    sequences: number of sequences of each task in the batch.
    length: positions of a sequence.
    rank: of GEMS' shared subspace and of the single subspace.
    side: the side of the layers on which GEMS' null space lies; the trainer's default. The released procedure's lies on
        "output".
    shape: one of QWEN_SHAPES, with its vocabulary, in place of a model of `parameters`.
    """

    parameters: int = 100_000_000
    sequences: int = 8
    length: int = 128
    device: str = "cpu"
    dtype: str = "float32"
    rank: int = 128
    gradient_checkpointing: bool = False
    shape: str | None = None
    side: Side = "input"

    @property
    def backbone(self) -> BackboneRecipe:
        """The model's size.

        Without a `shape` it has about as many layers as heads of 64 dimensions: 11 layers of 768 for 100 M parameters.
        """
        if self.shape is not None:
            known = QWEN_SHAPES[self.shape]
            return BackboneRecipe(
                hidden=known["hidden_size"], heads=known["num_attention_heads"], layers=known["num_hidden_layers"]
            )
        heads = next(n for n in range(1, 256) if 16 * (n * HEAD) ** 2 * n >= self.parameters)
        hidden = heads * HEAD
        return BackboneRecipe(hidden=hidden, heads=heads, layers=math.ceil(self.parameters / (16 * hidden**2)))


def make_backbone(setup: Setup) -> Backbone:
    """A model with random weights and with item tokens of CODE_SIZES."""
    backbone = _bare_backbone(setup)
    draw = np.random.default_rng(0)
    add_item_tokens(backbone, Codebooks(tuple(draw.standard_normal((n, 8), np.float32) for n in CODE_SIZES)), seed=0)
    backbone.model.to(setup.device, getattr(torch, setup.dtype)).train()
    if setup.gradient_checkpointing:
        backbone.model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    return backbone


def _bare_backbone(setup: Setup) -> Backbone:
    """The model without item tokens. One of a real shape is made where it will train, which takes seconds on a GPU."""
    if setup.shape is None:
        return build_backbone(setup.backbone, WORDS, max(512, setup.length), seed=0)
    model = random_qwen(setup.shape, device=setup.device, dtype=getattr(torch, setup.dtype))
    tokenizer = large_tokenizer(text_entries(setup.shape))
    return Backbone(model, tokenizer, setup.shape, len(tokenizer))


def recipe_of(method: str, setup: Setup) -> Recipe:
    """The settings of one of METHODS: LoRA of rank 16, subspaces of `setup.rank`, and defaults."""
    return Recipe.model_validate(
        {
            "method": METHODS[method],
            "gems": GemsConfig(rank=setup.rank),
            "lora": LoraRecipe(rank=16, alpha=32),
            "null_space": NullSpaceRecipe(texts=4, text_tokens=16, side=setup.side),
        }
    )


def draw_batches(setup: Setup, backbone: Backbone) -> tuple[list[TaskBatch], list[Tensor]]:
    """Both tasks' batches, of random tokens and items, and the vocabulary ids of every level's codes."""
    draw = np.random.default_rng(1)
    tokens = level_token_ids(backbone.text_tokenizer, CODE_SIZES)
    starts = np.arange(ITEM_EVERY - len(tokens), setup.length - len(tokens) + 1, ITEM_EVERY)
    batches = []
    for task in TASKS:
        ids_BT = draw.integers(2, backbone.text_rows, (setup.sequences, setup.length))
        codes_PL = np.stack([draw.integers(0, n, setup.sequences * len(starts)) for n in CODE_SIZES], 1)
        rows_P = np.repeat(np.arange(setup.sequences), len(starts))
        starts_P = np.tile(starts, setup.sequences)
        for level, ids in enumerate(tokens):
            ids_BT[rows_P, starts_P + level] = ids[codes_PL[:, level]]
        arrays = (ids_BT, np.ones_like(ids_BT), codes_PL, rows_P, starts_P)
        batches.append(TaskBatch(task, *(torch.from_numpy(array).to(setup.device) for array in arrays)))
    return batches, [torch.from_numpy(ids).to(setup.device) for ids in tokens]


def draw_null_spaces(
    model: nn.Module, batches: Iterable[Mapping[str, Tensor]], *, side: Side, **settings: Any
) -> dict[str, NullSpace]:
    """Null spaces that protect random directions, in place of `estimate_null_spaces`.

    Layers that read the same input have the same null space of their inputs, as if it had been estimated; all others
    differ.
    """
    draw = torch.Generator().manual_seed(2)
    factors: dict[int, Tensor] = {}  # by width: those of a large model would take minutes, one after the other
    spaces: dict[str, NullSpace] = {}
    for name, module in projected_modules(model, settings["modules"]).items():
        width = module.weight.shape[0 if side == "output" else 1]
        if width not in factors:
            gaussian_WK = torch.randn(width, int(PROTECTED * width), generator=draw).to(module.weight.device)
            factors[width] = torch.linalg.qr(gaussian_WK)[0]
        shared = side == "input" and name.rpartition(".")[2] in READERS_OF_ONE_INPUT
        spaces[name] = NullSpace(side, "protected", factors[width].roll(0 if shared else 1 + len(spaces), 0))
    return spaces
