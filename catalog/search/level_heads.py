"""The output head of a language model, restricted to the code tokens of each level.

The probabilities of a level's codes need only the rows of its code tokens, a few hundred, unless they are normalised
over the whole vocabulary, as `transformers.generate` does. A search may further normalise them over the children of
each beam, the codes that occur behind its prefix: `BeamSearch` does that, because it knows the index.

Shapes: B beams, H hidden size, V vocabulary, C codes of the level.
"""

from collections.abc import Callable, Sequence
from typing import Literal

import torch
from torch import Tensor

__all__ = ["LevelHeads", "Normalization", "vocabulary_logsumexp"]

Normalization = Literal["codes", "children", "vocabulary"]

MAX_LOGITS = 1 << 24
"""Logits of the whole vocabulary that are held at a time."""
MAX_COPIED = 1 << 25
"""Weights of a level up to which it is copied to float32."""


class LevelHeads:
    """Log-probabilities of the codes of each level after a hidden state.

    weights: for every level [C, H].
    biases: for every level [C], or None.
    logsumexp: from hidden states [B, H] to the logsumexp of the whole vocabulary's logits, float32 [B]. None normalises
        over the codes of the level.

    On a CPU logits are computed in float32, because half precision would round many of them to ties, unless a level is
    so large (atomic identifiers) that its copy would be larger than the model.
    """

    def __init__(
        self,
        weights: Sequence[Tensor],
        biases: Sequence[Tensor | None],
        logsumexp: Callable[[Tensor], Tensor] | None = None,
    ) -> None:
        self._weights = [weight.float() if _is_small(weight) else weight for weight in weights]
        self._biases = [None if bias is None else bias.float() for bias in biases]
        self._logsumexp = logsumexp

    def __call__(self, level: int, hidden_BH: Tensor) -> Tensor:
        """Log-probability of every code of `level`, float32 [B, C], never above zero."""
        weight, bias = self._weights[level], self._biases[level]
        logit_BC = (hidden_BH.to(weight.dtype) @ weight.T).float()
        if bias is not None:
            logit_BC = logit_BC + bias
        if self._logsumexp is None:
            return torch.log_softmax(logit_BC, -1)
        return (logit_BC - self._logsumexp(hidden_BH)[:, None]).clamp_(max=0)  # rounding may make it positive


def _is_small(weight: Tensor) -> bool:
    return weight.device.type == "cpu" and weight.numel() <= MAX_COPIED


def vocabulary_logsumexp(hidden_BH: Tensor, logits: Callable[[Tensor], Tensor], vocabulary: int) -> Tensor:
    """The logsumexp of `logits(hidden_BH)` [B, V], float32 [B], of which at most MAX_LOGITS are held at a time."""
    pieces = torch.split(hidden_BH, max(1, MAX_LOGITS // vocabulary))
    return torch.cat([torch.logsumexp(logits(piece).float(), -1) for piece in pieces])
