"""A linear layer with a soft mixture of low-rank experts beside it.

The layer of LoRAMoE (Dou et al., arXiv 2312.09979): y = Wx + (alpha / rank) · Σ_e w_e(x) · B_e·A_e·x, with one router a
layer, w(x) = softmax(R·x). From the paper's description; without its balancing loss, which serves experts that are to
keep general knowledge apart from tasks. Every token uses all experts, so none can starve.

X tokens (any leading dimensions), I inputs, O outputs, E experts, R rank of each, K = E·R.
"""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional

from trainer.gems.precision import compute_dtype

__all__ = ["LoraExperts"]


class LoraExperts(nn.Module):
    """Starts as `base` to the letter: every up-projection is zero, and the router weighs all experts alike.

    The experts are float32 whatever `base` is. `draw` gives the down-projections, as LoRA starts them.
    """

    def __init__(
        self, base: nn.Linear, *, experts: int, rank: int, alpha: float, dropout: float, draw: torch.Generator
    ) -> None:
        super().__init__()
        self.base = base
        self._rank, self._scale, self._dropout = rank, alpha / rank, dropout
        bound = base.in_features**-0.5
        zeros = partial(torch.zeros, dtype=compute_dtype(base.weight), device=base.weight.device)
        self.down_KI = nn.Parameter(zeros(experts * rank, base.in_features).uniform_(-bound, bound, generator=draw))
        self.up_OK = nn.Parameter(zeros(base.out_features, experts * rank))
        self.router_EI = nn.Parameter(zeros(experts, base.in_features))

    @property
    def weight(self) -> Tensor:
        """The base's; T5 asks its layers for their weight's type."""
        return self.base.weight

    def adapters(self) -> list[nn.Parameter]:
        return [self.down_KI, self.up_OK, self.router_EI]

    def shares(self, input_XI: Tensor) -> Tensor:
        """How much each expert counts for each token, [X, E]; a token's shares sum to one."""
        return torch.softmax(functional.linear(input_XI.to(self.router_EI.dtype), self.router_EI), -1)

    def forward(self, input_XI: Tensor) -> Tensor:
        dropped_XI = functional.dropout(input_XI.to(self.down_KI.dtype), self._dropout, self.training)
        image_XK = functional.linear(dropped_XI, self.down_KI)
        mixed_XK = image_XK * self.shares(input_XI).repeat_interleave(self._rank, -1)
        output_XO: Tensor = self.base(input_XI)
        return output_XO + (functional.linear(mixed_XK, self.up_OK) * self._scale).to(output_XO.dtype)
