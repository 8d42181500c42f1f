"""A random Qwen2 checkpoint and a random index for it, which all engines of a benchmark open.

The vocabulary: token 0 is the end and the padding; then come the words, the codes of every level, and unused tokens up
to a multiple of 64.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from catalog.ids.index import ItemIndex
from loadtest.synthetic.codes import uniform_codes

__all__ = ["RandomBundle", "Shape", "draw_prompts", "open_bundle", "save_bundle"]

POSITIONS = 4096
WEIGHT_SPREAD = 0.1
"""Standard deviation of the weights. At the usual 0.02 all codes are about equally likely, unlike a trained model's, so
that their order in bfloat16 would depend on rounding."""


@dataclass(frozen=True, slots=True)
class Shape:
    """The shape of a model and its index. The head size, hidden / 4, must be a multiple of 32 for vLLM on CPUs."""

    layers: int = 4
    hidden: int = 256
    words: int = 4095
    depth: int = 4
    size: int = 256
    items: int = 20_000

    @property
    def first_code(self) -> int:
        """The token of the first code of the first level."""
        return 1 + self.words

    @property
    def vocabulary(self) -> int:
        """Number of tokens, a multiple of 64."""
        return -(-(self.first_code + self.depth * self.size) // 64) * 64


@dataclass(frozen=True, slots=True)
class RandomBundle:
    """The part of a bundle that an engine uses (`server.engine.protocol.RankableBundle`)."""

    model_dir: Path
    index_dir: Path
    index: ItemIndex
    level_tokens: Sequence[NDArray[np.int64]]
    normalize: Literal["codes", "children"] = "codes"

    def leaf(self, tokens: Sequence[int]) -> int:
        """The leaf that these level tokens spell, or -1."""
        codes = [token - int(level[0]) for token, level in zip(tokens, self.level_tokens, strict=True)]
        if any(not 0 <= code < size for code, size in zip(codes, self.index.sizes, strict=True)):
            return -1
        found = self.index.leaf(codes)
        return -1 if found is None else found


def save_bundle(directory: Path, shape: Shape, seed: int) -> None:
    """Write `model/`, in bfloat16 and with a tokenizer, and `index/`, all drawn from the seed."""
    from transformers import Qwen2Config, Qwen2ForCausalLM

    torch.manual_seed(seed)
    config = Qwen2Config(
        vocab_size=shape.vocabulary,
        hidden_size=shape.hidden,
        intermediate_size=4 * shape.hidden,
        num_hidden_layers=shape.layers,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=POSITIONS,
        tie_word_embeddings=True,
        initializer_range=WEIGHT_SPREAD,
        bos_token_id=None,
        eos_token_id=0,
        pad_token_id=0,
    )
    Qwen2ForCausalLM(config).to(torch.bfloat16).save_pretrained(directory / "model")
    _save_tokenizer(directory / "model", shape)
    sizes = [shape.size] * shape.depth
    ItemIndex.build(uniform_codes(shape.items, shape.depth, shape.size, seed), sizes)[0].save(directory / "index")


def _save_tokenizer(directory: Path, shape: Shape) -> None:
    """One word for every token. No text is tokenised, but vLLM's beam search needs the end token and writes texts."""
    from tokenizers import Tokenizer, models
    from transformers import PreTrainedTokenizerFast

    names = {f"w{token}": token for token in range(shape.vocabulary)}
    tokenizer = Tokenizer(models.WordLevel(names, unk_token="w0"))
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="w0", pad_token="w0").save_pretrained(directory)


def open_bundle(directory: Path, shape: Shape) -> RandomBundle:
    """Open what `save_bundle` has written."""
    first = shape.first_code + shape.size * np.arange(shape.depth)
    tokens = [start + np.arange(shape.size) for start in first.tolist()]
    return RandomBundle(directory / "model", directory / "index", ItemIndex.open(directory / "index"), tokens)


def draw_prompts(shape: Shape, count: int, length: int, generator: np.random.Generator) -> list[list[int]]:
    """Prompts of random words, so that no two share a beginning."""
    prompts: list[list[int]] = generator.integers(1, shape.first_code, (count, length)).tolist()
    return prompts
