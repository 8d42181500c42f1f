"""Compares the engine's answers, in the precision it serves, with those of a reference in float32."""

from collections.abc import Sequence

import numpy as np
import torch

from catalog.search.transformers import TransformersRanker
from loadtest.engine.peers.protocol import Prompt
from loadtest.synthetic.bundle import RandomBundle

__all__ = ["compare", "reference_leaves"]


def reference_leaves(bundle: RandomBundle, prompts: Sequence[Prompt], width: int) -> list[list[int]]:
    """The best leaves of every prompt by transformers, with the same weights in float32, one prompt after another."""
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(bundle.model_dir, dtype=torch.float32)
    ranker = TransformersRanker(model, bundle.index, bundle.level_tokens, normalize=bundle.normalize)
    return [ranker.rank([prompt], width)[0].leaves.tolist() for prompt in prompts]


def compare(answers: Sequence[Sequence[int]], expected: Sequence[Sequence[int]]) -> dict[str, float]:
    """The shares of prompts with the same first leaf (`top1`) and of expected leaves found (`overlap_at_k`)."""
    pairs = list(zip(answers, expected, strict=True))
    return {
        "top1": float(np.mean([answer[:1] == wanted[:1] for answer, wanted in pairs])),
        "overlap_at_k": float(np.mean([len({*answer} & {*wanted}) / len(wanted) for answer, wanted in pairs])),
        "k": float(np.mean([len(wanted) for _, wanted in pairs])),
        "prompts": float(len(pairs)),
    }
