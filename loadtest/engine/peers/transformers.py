"""The beam search of transformers, constrained by nested dictionaries through `prefix_allowed_tokens_fn`."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from loadtest.engine.peers.protocol import Limits, Prompt
from loadtest.index.baselines.dict_trie import DictTrie
from loadtest.synthetic.bundle import RandomBundle

__all__ = ["TransformersGenerate"]


class TransformersGenerate:
    """Implements `Peer` with `generate`. It has no cache from one call to the next."""

    def __init__(self, bundle: RandomBundle, limits: Limits) -> None:
        self._bundle = bundle
        self._threads = limits.threads
        self._model: Any = None

    def start(self) -> None:
        """Load the model in bfloat16, and build the trie of level tokens."""
        from transformers import AutoModelForCausalLM
        from transformers.utils.logging import disable_progress_bar

        disable_progress_bar()
        torch.set_num_threads(self._threads)
        self._model = AutoModelForCausalLM.from_pretrained(self._bundle.model_dir, dtype=torch.bfloat16).eval()
        index = self._bundle.index
        first_L = np.array([tokens[0] for tokens in self._bundle.level_tokens])
        self._trie = DictTrie(index.paths(np.arange(len(index))) + first_L, self._model.config.vocab_size)

    def answer(self, prompts: Sequence[Prompt], width: int, concurrency: int) -> list[list[list[int]]]:
        """Batches of `concurrency` prompts, which must be of one length; the level tokens of every beam."""
        batches = [prompts[at : at + concurrency] for at in range(0, len(prompts), concurrency)]
        return [answer for batch in batches for answer in self._generate(batch, width)]

    def _generate(self, prompts: Sequence[Prompt], width: int) -> list[list[list[int]]]:
        token_RP = torch.tensor(prompts)
        length, depth = token_RP.shape[1], self._bundle.index.depth

        def allowed(row: int, token_T: Tensor) -> list[int]:
            return self._trie.allowed(token_T[length:].tolist())

        with torch.inference_mode():
            found = self._model.generate(
                token_RP,
                attention_mask=torch.ones_like(token_RP),
                num_beams=width,
                num_return_sequences=width,
                max_new_tokens=depth,
                min_new_tokens=depth,
                do_sample=False,
                length_penalty=0.0,
                prefix_allowed_tokens_fn=allowed,
            )
        answers: list[list[list[int]]] = found[:, length:].view(len(prompts), width, depth).tolist()
        return answers

    def leaves(self, answer: list[list[list[int]]]) -> list[list[int]]:
        """The items that the tokens of every beam spell."""
        return [[self._bundle.leaf(tokens) for tokens in beams] for beams in answer]

    def stop(self) -> None:
        """Do nothing: the process ends."""
