"""Tiny models and batches that the optimiser's tests share."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from transformers import (
    LlamaConfig,
    LlamaForCausalLM,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
    T5Config,
    T5ForConditionalGeneration,
)

from trainer.gems import GemsOptimizer, NullSpace, StepStats

VOCABULARY = 48
DECODER = {
    "vocab_size": VOCABULARY,
    "hidden_size": 16,
    "intermediate_size": 40,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "tie_word_embeddings": True,
}

PRECISE = {"moments": "full", "projected_gradients": "float32", "bases": "float32"}
"""Settings with which two ways to the same weights differ by float32's rounding only."""


class Pair(nn.Module):
    """One projection of each shape: wide (fewer rows than columns), tall, square."""

    def __init__(self, dtype: torch.dtype = torch.float32, seed: int = 0) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            self.up_proj = nn.Linear(10, 24, bias=False, dtype=dtype)
            self.down_proj = nn.Linear(24, 10, bias=False, dtype=dtype)
            self.o_proj = nn.Linear(10, 10, bias=True, dtype=dtype)

    def forward(self, x: Tensor) -> Tensor:
        return self.o_proj(self.down_proj(torch.tanh(self.up_proj(x))))


def qwen2(seed: int = 0, dtype: torch.dtype = torch.float32, **changes: Any) -> Qwen2ForCausalLM:
    return _built(Qwen2ForCausalLM, Qwen2Config(**(DECODER | changes)), seed, dtype)


def qwen3() -> Qwen3ForCausalLM:
    return _built(Qwen3ForCausalLM, Qwen3Config(**DECODER, head_dim=8), 0, torch.float32)


def llama() -> LlamaForCausalLM:
    return _built(LlamaForCausalLM, LlamaConfig(**(DECODER | {"tie_word_embeddings": False})), 0, torch.float32)


def t5(feed_forward: str) -> T5ForConditionalGeneration:
    config = T5Config(
        vocab_size=VOCABULARY,
        d_model=16,
        d_kv=4,
        d_ff=40,
        num_layers=2,
        num_heads=4,
        feed_forward_proj=feed_forward,
        decoder_start_token_id=0,
    )
    return _built(T5ForConditionalGeneration, config, 0, torch.float32)


def _built(kind: Any, config: Any, seed: int, dtype: torch.dtype) -> Any:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return kind(config).to(dtype)


def ids(rows: int, seed: int, positions: int = 12) -> Tensor:
    return torch.randint(0, VOCABULARY, (rows, positions), generator=torch.Generator().manual_seed(seed))


def chain(rows: int, seed: int, positions: int = 24) -> Tensor:
    """Text from a Markov chain with three successors a token: something to learn, unlike `ids`."""
    follow = torch.randint(0, VOCABULARY, (VOCABULARY, 3), generator=torch.Generator().manual_seed(99))
    draw = torch.Generator().manual_seed(seed)
    text = torch.randint(0, VOCABULARY, (rows, 1), generator=draw)
    for _ in range(positions - 1):
        chosen = torch.randint(0, 3, (rows,), generator=draw)
        text = torch.cat([text, follow[text[:, -1], chosen].unsqueeze(1)], dim=1)
    return text


def vectors(rows: int, seed: int, dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor]:
    """Inputs and targets for Pair."""
    draw = torch.Generator().manual_seed(seed)
    return torch.randn(rows, 10, generator=draw, dtype=dtype), torch.randn(rows, 10, generator=draw, dtype=dtype)


def pair_loss(model: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
    return nn.functional.mse_loss(model(batch[0]), batch[1])


def language_loss(model: nn.Module, batch: Tensor) -> Tensor:
    return model(input_ids=batch, labels=batch).loss


def one_step(optimizer: GemsOptimizer, model: nn.Module, seed: int, rows: tuple[int, int] = (3, 5)) -> StepStats:
    """A step on a batch of search and recommendation rows that depend on the seed alone."""
    for task, count, shift in (("search", rows[0], 0), ("recommendation", rows[1], 500)):
        if not count:
            continue
        if isinstance(model, Pair):
            loss = pair_loss(model, vectors(count, seed + shift, model.up_proj.weight.dtype))
        else:
            loss = language_loss(model, ids(count, seed + shift))
        with optimizer.task(task, tokens=count, loss=loss):
            loss.backward()
    return optimizer.step()


def random_null_spaces(model: nn.Module, side: str, protected: float) -> dict[str, NullSpace]:
    """Protects a random subspace of each layer; `protected` is its share of the side's width.

    The factors are bfloat16, as the optimiser keeps them.
    """
    spaces = {}
    draw = torch.Generator().manual_seed(7)
    for name, module in model.named_modules():
        if isinstance(module, nn.Linear) and name.rpartition(".")[2].endswith("_proj"):
            width = module.weight.shape[0 if side == "output" else 1]
            basis = torch.linalg.qr(torch.randn(width, width, generator=draw, dtype=torch.float64))[0].float()
            count = round(protected * width)
            thin = ("protected", basis[:, :count]) if protected <= 0.5 else ("free", basis[:, count:])
            spaces[name] = NullSpace(side, *thin).rounded()
    return spaces


def weights_of(model: nn.Module) -> dict[str, Tensor]:
    return {name: weight.detach().clone() for name, weight in model.named_parameters()}


def assert_same(first: Any, second: Any) -> None:
    """Bitwise, through nested dictionaries and lists."""
    if isinstance(first, Tensor):
        assert torch.equal(first, second)
    elif isinstance(first, dict):
        assert first.keys() == second.keys()
        for key in first:
            assert_same(first[key], second[key])
    elif isinstance(first, list):
        assert len(first) == len(second)
        for one, other in zip(first, second, strict=True):
            assert_same(one, other)
    else:
        assert first == second


def copied(state: Any) -> Any:
    return copy.deepcopy(state)


@contextmanager
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
