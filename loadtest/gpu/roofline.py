"""The least time in which a search could end on a card, and published figures of others.

A search of L levels takes one pass over the prompt and L - 1 passes over the beams. Each pass reads every weight of the
layers once, the keys and values of the tokens before it once, and the rows of its level's codes; it takes the longer of
the times for its bytes and for its operations. The host's own time, activations and the index are left out.

P tokens of the prompt, K beams.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from transformers import PreTrainedModel

from loadtest.gpu.card import Speed

__all__ = ["PUBLISHED", "Roofline", "published_for"]

HALF = 2  # bytes of a bfloat16


@dataclass(frozen=True, slots=True)
class Published:
    """A figure that somebody else has published, for one size of the search.

    comparable: what differs from our measurement, because no two set-ups are alike.
    """

    name: str
    prompt: int
    beam: int
    milliseconds: float | None
    queries_per_second: float | None
    comparable: str
    source: str


PUBLISHED = (
    Published(
        "NVIDIA SID-GR",
        1000,
        256,
        17.611,
        None,
        "H100 80GB HBM3, Qwen3-1.7B, bfloat16, 3 tokens, one request, CUDA graphs and an attention kernel of its own, "
        "no catalog in the timed path; prefill 7.0 and decoding 10.0 ms of it",
        "https://github.com/NVIDIA/recsys-examples/blob/main/examples/sid-gr-inference/README.md, section 6",
    ),
    Published(
        "FlashRec",
        2465,
        50,
        None,
        28.08,
        "RTX 5090, OneRec-1.7B in FP8, prompts of 2,465 tokens at the median, 3 codes of 8,192, 1.52 million items, "
        "32 requests at once, CUDA graphs",
        "https://github.com/sohu-mptc/FlashRec README.md, table OneRec",
    ),
)


def published_for(prompt: int, beam: int) -> list[dict[str, Any]]:
    """What others have published for this size."""
    return [asdict(figure) for figure in PUBLISHED if (figure.prompt, figure.beam) == (prompt, beam)]


class Roofline:
    """The floor of searches with one model.

    level_rows: number of codes of a level, each a row of the output head.
    depth: L, the number of levels.
    """

    def __init__(self, model: PreTrainedModel, level_rows: int, depth: int, speed: Speed) -> None:
        config = model.config
        self._speed, self._depth = speed, depth
        vocabulary = {id(module.weight) for module in (model.get_input_embeddings(), model.get_output_embeddings())}
        self._weights = sum(weight.numel() for weight in model.parameters() if id(weight) not in vocabulary)
        self._head = level_rows * config.hidden_size
        head = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
        self._kv_token = 2 * config.num_hidden_layers * config.num_key_value_heads * head
        self._attention = 4 * config.num_hidden_layers * config.num_attention_heads * head  # operations of a pair

    def prefill(self, prompt: int) -> float:
        """Seconds of the pass over the prompt."""
        pairs = prompt * (prompt + 1) / 2
        operations = 2 * self._weights * prompt + self._attention * pairs + 2 * self._head
        return self._longer(self._weights + self._head + prompt * self._kv_token, operations)

    def search(self, prompt: int, beam: int) -> float:
        """Seconds of a whole search."""
        seconds = self.prefill(prompt)
        for level in range(1, self._depth):
            tokens = prompt + level * beam
            operations = beam * (2 * self._weights + self._attention * (prompt + level) + 2 * self._head)
            seconds += self._longer(self._weights + self._head + tokens * self._kv_token, operations)
        return seconds

    def _longer(self, numbers: float, operations: float) -> float:
        return max(numbers * HALF / self._speed.bandwidth, operations / self._speed.flops)
