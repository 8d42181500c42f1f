"""Random models of real architectures, for tests that tune a model which was there before."""

from pathlib import Path

import torch
from transformers import (
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedModel,
    Qwen3Config,
    Qwen3ForCausalLM,
    T5Config,
    T5ForConditionalGeneration,
)

from tests.support import world
from trainer.model.backbone import byte_level_tokenizer

__all__ = ["make_checkpoint"]

DECODER = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "head_dim": 16,
    "max_position_embeddings": 512,
}
T5 = {"d_model": 32, "d_kv": 16, "d_ff": 64, "num_layers": 2, "num_heads": 2, "decoder_start_token_id": 0}


def make_checkpoint(kind: str, folder: Path) -> PreTrainedModel:
    """A random model of a real architecture with a tokenizer, saved as a hub would have it."""
    tokenizer = byte_level_tokenizer(world.items().texts(), 400)
    torch.manual_seed(0)
    size = {"vocab_size": len(tokenizer), "pad_token_id": 0, "eos_token_id": 1}
    model = {
        "llama": lambda: LlamaForCausalLM(LlamaConfig(**DECODER, **size, tie_word_embeddings=False)),
        "qwen3": lambda: Qwen3ForCausalLM(Qwen3Config(**DECODER, **size, tie_word_embeddings=True)),
        "t5": lambda: T5ForConditionalGeneration(T5Config(**T5, **size)),
        "t5-gated": lambda: T5ForConditionalGeneration(T5Config(**T5, **size, feed_forward_proj="gated-gelu")),
    }[kind]()
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return model
