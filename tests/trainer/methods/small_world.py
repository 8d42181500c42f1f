"""What a test of a method needs: a small backbone with item tokens, and batches of the tiny shop."""

from dataclasses import dataclass, field

import numpy as np
import torch
from transformers import T5Config, T5ForConditionalGeneration

from catalog.data.items import Items
from catalog.ids.codes import Codebooks
from catalog.text.prompts import PromptFormat, PromptSettings, level_token_ids
from tests.support import world
from trainer.config.recipe import BackboneRecipe, Recipe, load_recipe
from trainer.data.batches import Batches, TaskBatch, task_loss
from trainer.data.histories import Histories
from trainer.distributed.fsdp import call_gathered, shard_model
from trainer.distributed.group import SINGLE_PROCESS, ProcessGroup
from trainer.methods import Method, create_method
from trainer.methods.protocol import StepResult
from trainer.model.backbone import Backbone, add_item_tokens, build_backbone, byte_level_tokenizer

CODES_NL = np.array([[kind, colour] for kind in range(5) for colour in range(6)])
NULL_SPACE = ("gems.null_space=true", "null_space.side=output")
BASE = BackboneRecipe(hidden=32, layers=2, heads=1, vocabulary=300)
FULL_PRECISION = (
    "gems.moments=full",
    "gems.null_factors=float32",
    "gems.projected_gradients=float32",
    "gems.bases=float32",
)
"""Nothing of GEMS is rounded to bfloat16, which rounds the sums of two processes otherwise than those of one: a weight
differs by 3e-4 in the end."""


@dataclass
class SmallWorld:
    backbone: Backbone
    recipe: Recipe
    method: Method
    batches: Batches
    level_tokens: list[torch.Tensor]
    group: ProcessGroup = SINGLE_PROCESS
    codes_NL: np.ndarray = field(default_factory=lambda: CODES_NL)

    def micro_batches(self, step: int = 0) -> list[TaskBatch]:
        return [task_batch for parts in self.batches.micro_batches(step) for task_batch in parts]

    def loss(self, task_batch: TaskBatch) -> torch.Tensor:
        return call_gathered(self.backbone.model, task_loss, task_batch, self.level_tokens, self.recipe.training)

    def batch_loss(self, step: int = 0) -> torch.Tensor:
        """The token-weighted mean loss of all micro-batches."""
        task_batches = self.micro_batches(step)
        return sum(self.loss(h) * h.tokens for h in task_batches) / sum(h.tokens for h in task_batches)

    def train_step(self, step: int = 0) -> StepResult:
        task_batches = self.micro_batches(step)
        batch_tokens = round(self.group.all_reduce_numbers([sum(h.tokens for h in task_batches)])[0])
        for task_batch in task_batches:
            self.method.backward(
                self.loss(task_batch), task_batch.task, tokens=task_batch.tokens, batch_tokens=batch_tokens
            )
        return self.method.step(1.0)

    def weights(self) -> dict[str, torch.Tensor]:
        return {name: weight.detach().clone() for name, weight in self.backbone.model.named_parameters()}

    def text_logits(self) -> torch.Tensor:
        ids = torch.arange(12)[None]
        extra = {"decoder_input_ids": ids} if self.backbone.is_seq2seq else {}
        with torch.no_grad():
            return self.backbone.model.eval()(input_ids=ids, **extra).logits


def make_backbone(kind: str = "qwen2") -> Backbone:
    texts = world.items().texts()
    if kind == "qwen2":
        backbone = build_backbone(BASE, texts, 512, seed=0)
    else:
        tokenizer = byte_level_tokenizer(texts, 300)
        torch.manual_seed(0)
        size = {"d_model": 32, "d_kv": 16, "d_ff": 64, "num_layers": 2, "num_heads": 2, "vocab_size": len(tokenizer)}
        model = T5ForConditionalGeneration(T5Config(**size, decoder_start_token_id=0, pad_token_id=0, eos_token_id=1))
        backbone = Backbone(model, tokenizer, "t5", len(tokenizer))
    draw = np.random.default_rng(0)
    add_item_tokens(backbone, Codebooks(tuple(draw.standard_normal((n, 8)).astype(np.float32) for n in (5, 6))), seed=0)
    return backbone


def small_world(
    tmp_path,
    *settings: str,
    kind: str = "qwen2",
    backbone: Backbone | None = None,
    group: ProcessGroup = SINGLE_PROCESS,
    without: tuple[int, ...] = (),
) -> SmallWorld:
    """The method that `settings` name on a fresh small backbone (or the given one), in training mode.

    without: numbers of items that the catalog lacks.
    """
    backbone = backbone or make_backbone(kind)
    recipe = load_recipe("small", [*world.TINY, "gems.vocabulary_rows=none", *NULL_SPACE, *settings])
    if recipe.training.shard:
        shard_model(backbone.model, group)
    items, codes_NL = Items(world.item_table().take(np.delete(np.arange(30), without))), np.delete(CODES_NL, without, 0)
    tokens = level_token_ids(backbone.text_tokenizer, (5, 6))
    prompts = PromptFormat(backbone.text_tokenizer, codes_NL, tokens, PromptSettings())
    method = create_method(backbone, recipe, items.texts(), tmp_path / "null_spaces", group)
    histories = Histories.from_events(world.event_table(), items)
    batches = Batches(
        histories,
        items,
        codes_NL,
        prompts,
        recipe.training,
        seq2seq=backbone.is_seq2seq,
        pad=0,
        seed=recipe.seed,
        group=group,
    )
    backbone.model.train()
    return SmallWorld(backbone, recipe, method, batches, [torch.from_numpy(ids) for ids in tokens], group, codes_NL)
