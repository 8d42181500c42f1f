"""A linear layer with a soft mixture of low-rank experts beside it.

This is the layer of LoRAMoE (Dou et al., arXiv 2312.09979): y = Wx + (alpha / rank) · Σ_e w_e(x) · B_e·A_e·x. Each
layer has one router, w(x) = softmax(R·x). Every token uses all experts, so every expert is trained. The code follows
the paper's description, as peft has no such layer. It leaves out the paper's balancing loss, which is for experts that
keep general knowledge apart from tasks.

X tokens (any leading dimensions), I inputs, O outputs, E experts, R rank of each, K = E·R.
"""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional

from trainer.gems.numerics import compute_dtype

__all__ = ["LoraExperts"]


class LoraExperts(nn.Module):
    """A linear layer and its experts. At first it computes exactly what `base` does, as the up-projections are zero.

    base: the linear layer. The experts are float32 whatever type it has, or float64 if it has that.
    experts: how many experts there are, E.
    rank: the rank of each expert, R.
    alpha: the experts' output is multiplied by alpha / rank.
    dropout: the share of the experts' input that is dropped in training.
    generator: draws the down-projections, as LoRA initialises them.
    """

    def __init__(
        self, base: nn.Linear, *, experts: int, rank: int, alpha: float, dropout: float, generator: torch.Generator
    ) -> None:
        super().__init__()
        self.base = base
        self._rank, self._scale, self._dropout = rank, alpha / rank, dropout
        bound = base.in_features**-0.5
        zeros = partial(torch.zeros, dtype=compute_dtype(base.weight), device=base.weight.device)
        down_KI = zeros(experts * rank, base.in_features).uniform_(-bound, bound, generator=generator)
        self.down_KI = nn.Parameter(down_KI)
        self.up_OK = nn.Parameter(zeros(base.out_features, experts * rank))
        self.router_EI = nn.Parameter(zeros(experts, base.in_features))

    @property
    def weight(self) -> Tensor:
        """The base's weight, because T5 reads the type of its layers' weights."""
        return self.base.weight

    def adapters(self) -> list[nn.Parameter]:
        return [self.down_KI, self.up_OK, self.router_EI]

    def routing(self, input_XI: Tensor) -> Tensor:
        """The weight of each expert for each token, [X, E]; a token's weights sum to one."""
        return torch.softmax(functional.linear(input_XI.to(self.router_EI.dtype), self.router_EI), -1)

    def forward(self, input_XI: Tensor) -> Tensor:
        dropped_XI = functional.dropout(input_XI.to(self.down_KI.dtype), self._dropout, self.training)
        down_XK = functional.linear(dropped_XI, self.down_KI)
        mixed_XK = down_XK * self.routing(input_XI).repeat_interleave(self._rank, -1)
        output_XO: Tensor = self.base(input_XI)
        return output_XO + (functional.linear(mixed_XK, self.up_OK) * self._scale).to(output_XO.dtype)
