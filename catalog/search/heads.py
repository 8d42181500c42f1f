"""The output head of a language model, cut to the code tokens of each level.

A level's probabilities need the few hundred rows of its code tokens, not the whole vocabulary, unless they are to
sum to one over the whole vocabulary, as in `transformers` generation.

Shapes: B beams, H hidden size, V vocabulary, C codes of the level.
"""

from collections.abc import Callable, Sequence
from typing import Literal

import torch
from torch import Tensor

__all__ = ["LevelHeads", "Normalization", "vocabulary_logsumexp"]

Normalization = Literal["codes", "vocabulary"]

LOGITS_AT_ONCE = 1 << 24
COPIED_AT_MOST = 1 << 25


class LevelHeads:
    """Log-probabilities of the codes of each level after a hidden state.

    weights: per level [C, H]; biases: per level [C] or None. logsumexp: of the logits of the whole vocabulary, from
    hidden states [B, H] to float32 [B]; None normalises over the codes of the level.
    Logits are computed in float32 on CPU, where half precision would round many of them to ties, unless a level is
    so large (atomic identifiers) that the copy would weigh more than the model.
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
        return (logit_BC - self._logsumexp(hidden_BH)[:, None]).clamp_(max=0)  # rounding may lift it above


def _is_small(weight: Tensor) -> bool:
    return weight.device.type == "cpu" and weight.numel() <= COPIED_AT_MOST


def vocabulary_logsumexp(hidden_BH: Tensor, logits: Callable[[Tensor], Tensor], vocabulary: int) -> Tensor:
    """Logsumexp of `logits(hidden) [B, V]`, float32 [B], never holding more than a slice of all logits."""
    pieces = torch.split(hidden_BH, max(1, LOGITS_AT_ONCE // vocabulary))
    return torch.cat([torch.logsumexp(logits(piece).float(), -1) for piece in pieces])
