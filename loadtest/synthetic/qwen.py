"""Models of Qwen's published shapes with random weights, and a byte-level tokenizer as large as Qwen's.

The shapes are those of the checkpoints' config.json files; nothing is fetched. The tiny ones are for tests.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import count, islice, product
from typing import Any

import torch
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel, PreTrainedTokenizerFast

__all__ = ["QWEN_SHAPES", "large_tokenizer", "random_qwen", "text_entries"]

QWEN_ENTRIES = 151_643  # of Qwen2.5's and Qwen3's tokenizers, before added tokens
SPARE_ROWS = 293  # of the vocabulary weights beyond those entries
LEARNED = 8_000  # entries that `large_tokenizer` learns from texts; the others are strings of letters
LETTERS = "etaoinshrdlcumwfgypbvkjxqz"
ADDED = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
PIECES = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+"

_QWEN25 = {
    "model_type": "qwen2",
    "vocab_size": QWEN_ENTRIES + SPARE_ROWS,
    "max_position_embeddings": 32_768,
    "rope_parameters": {"rope_type": "default", "rope_theta": 1_000_000.0},
    "rms_norm_eps": 1e-6,
    "tie_word_embeddings": True,
}
QWEN_SHAPES: dict[str, dict[str, Any]] = {
    "qwen2.5-0.5b": _QWEN25
    | {
        "hidden_size": 896,
        "intermediate_size": 4864,
        "num_hidden_layers": 24,
        "num_attention_heads": 14,
        "num_key_value_heads": 2,
    },
    "qwen2.5-1.5b": _QWEN25
    | {
        "hidden_size": 1536,
        "intermediate_size": 8960,
        "num_hidden_layers": 28,
        "num_attention_heads": 12,
        "num_key_value_heads": 2,
    },
    "qwen2.5-3b": _QWEN25
    | {
        "hidden_size": 2048,
        "intermediate_size": 11_008,
        "num_hidden_layers": 36,
        "num_attention_heads": 16,
        "num_key_value_heads": 2,
    },
    "qwen3-1.7b": _QWEN25
    | {
        "model_type": "qwen3",
        "max_position_embeddings": 40_960,
        "hidden_size": 2048,
        "intermediate_size": 6144,
        "num_hidden_layers": 28,
        "num_attention_heads": 16,
        "num_key_value_heads": 8,
        "head_dim": 128,
    },
    "qwen2.5-tiny": _QWEN25
    | {
        "vocab_size": 1024,
        "hidden_size": 64,
        "intermediate_size": 128,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
    },
    "qwen3-tiny": _QWEN25
    | {
        "model_type": "qwen3",
        "vocab_size": 1024,
        "hidden_size": 64,
        "intermediate_size": 96,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 32,
    },
}


def random_qwen(
    name: str,
    *,
    device: torch.device | str = "cpu",
    dtype: torch.dtype = torch.bfloat16,
    seed: int = 0,
    **changes: Any,
) -> PreTrainedModel:
    """A model of one of QWEN_SHAPES, drawn from the seed, on the device.

    changes: settings of its configuration that replace the shape's, such as `vocab_size`.
    """
    settings = QWEN_SHAPES[name] | changes
    config = AutoConfig.for_model(**settings)
    torch.manual_seed(seed)
    with torch.device(device):
        model: PreTrainedModel = AutoModelForCausalLM.from_config(config, dtype=dtype)
    return model


def text_entries(name: str) -> int:
    """How many entries the tokenizer of one of QWEN_SHAPES has, before added tokens."""
    return int(QWEN_SHAPES[name]["vocab_size"]) - SPARE_ROWS


def large_tokenizer(entries: int, texts: Sequence[str] = ()) -> PreTrainedTokenizerFast:
    """A byte-level BPE tokenizer with so many entries, and the added tokens of Qwen's base models.

    It splits texts as Qwen's does and can write every string. Up to LEARNED entries are learned from the texts; the
    others are strings of letters, each merged of a shorter entry and a letter, and rank behind what was learned.
    """
    vocabulary = {letter: number for number, letter in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}
    merges: list[tuple[str, str]] = []
    if texts:
        vocabulary, merges = _learn(texts, min(LEARNED, entries))
    for left, right in islice(_pairs(), 2 * entries):
        if len(vocabulary) >= entries:
            break
        if left + right not in vocabulary:
            vocabulary[left + right] = len(vocabulary)
            merges.append((left, right))
    tokenizer = _bare(models.BPE(vocab=vocabulary, merges=merges))
    tokenizer.add_special_tokens([AddedToken(name, special=True, normalized=False) for name in ADDED])
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token=ADDED[0], eos_token=ADDED[2])


def _learn(texts: Sequence[str], entries: int) -> tuple[dict[str, int], list[tuple[str, str]]]:
    tokenizer = _bare(models.BPE())
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=entries, initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator(texts, trainer)
    learned = json.loads(tokenizer.to_str())["model"]
    return learned["vocab"], [tuple(pair) for pair in learned["merges"]]


def _bare(model: models.BPE) -> Tokenizer:
    tokenizer = Tokenizer(model)
    tokenizer.normalizer = normalizers.NFC()
    splits = pre_tokenizers.Split(Regex(PIECES), behavior="isolated")
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [splits, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def _pairs() -> Any:
    """Strings of letters and a further letter, the shortest first."""
    for length in count(1):
        for left in product(LETTERS, repeat=length):
            for right in LETTERS:
                yield "".join(left), right
