"""Checkpoints of published shapes with random weights, and a data set of a few items, all made here.

Run by `python -m loadtest.training.real_size.checkpoints MODEL FOLDER`, in a process of its own.
"""

from __future__ import annotations

import gzip
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch

from loadtest.synthetic.qwen import large_tokenizer, random_qwen, text_entries
from trainer.data.corpus import read_corpus

__all__ = ["MODELS", "make_checkpoint", "make_data"]

MODELS = ("qwen2.5-0.5b", "t5-base", "qwen2.5-tiny")
"""The last one is no published size: it is for trying the stages themselves."""
TEXTS_TO_LEARN_FROM = 2000  # documents of the corpus
COLOURS = ("red", "blue", "green", "white", "black", "yellow")
THINGS = ("lamp", "drill", "ladder", "bucket", "paint", "shovel", "hammer", "tap")
USERS, EVENTS_EACH = 12, 6
FIRST_MS, DAY_MS = 1_700_000_000_000, 86_400_000
T5_BASE = {
    "vocab_size": 32_128,
    "d_model": 768,
    "d_kv": 64,
    "d_ff": 3072,
    "num_layers": 12,
    "num_heads": 12,
    "decoder_start_token_id": 0,
    "pad_token_id": 0,
    "eos_token_id": 1,
    "tie_word_embeddings": True,
}


def make_checkpoint(model: str, folder: Path, corpus: Path, t5_tokenizer: Path) -> None:
    """Write one of MODELS as a hub would have it: Qwen in bfloat16, T5 in float32.

    corpus: general text, of which Qwen's tokenizer learns its likeliest entries.
    t5_tokenizer: T5's own tokenizer, a gzipped tokenizer.json.
    """
    folder.mkdir(parents=True)
    if model == "t5-base":
        _make_t5(folder, t5_tokenizer)
        return
    large_tokenizer(text_entries(model), read_corpus(corpus)[:TEXTS_TO_LEARN_FROM]).save_pretrained(folder)
    random_qwen(model).save_pretrained(folder)


def _make_t5(folder: Path, tokenizer: Path) -> None:
    from transformers import PreTrainedTokenizerFast, T5Config, T5ForConditionalGeneration

    file = folder / "tokenizer.json"
    file.write_bytes(gzip.decompress(tokenizer.read_bytes()))
    PreTrainedTokenizerFast(
        tokenizer_file=str(file), pad_token="<pad>", eos_token="</s>", unk_token="<unk>"
    ).save_pretrained(folder)
    torch.manual_seed(0)
    T5ForConditionalGeneration(T5Config(**T5_BASE)).save_pretrained(folder)


def make_data(folder: Path) -> tuple[Path, Path]:
    """Write a few items and events; the paths of their files."""
    items, events = folder / "items.jsonl", folder / "events.jsonl"
    _write(items, ({"item_id": f"i{n}", "title": title, "categories": ["store"]} for n, title in enumerate(_titles())))
    _write(events, _events())
    return items, events


def _titles() -> Sequence[str]:
    return [f"{colour} {thing}" for thing in THINGS for colour in COLOURS]


def _events() -> Iterator[dict[str, Any]]:
    titles = _titles()
    for user in range(USERS):
        for number in range(EVENTS_EACH):
            item = (7 * user + 5 * number) % len(titles)
            event = {
                "user_id": f"u{user}",
                "item_id": f"i{item}",
                "type": "click",
                "timestamp": FIRST_MS + number * DAY_MS,
            }
            yield event | ({"query": titles[item]} if number % 2 else {})


def _write(file: Path, rows: Iterator[dict[str, Any]]) -> None:
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


if __name__ == "__main__":
    name, directory, texts, t5 = sys.argv[1:]
    make_checkpoint(name, Path(directory), Path(texts), Path(t5))
