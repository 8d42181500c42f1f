"""Linear layers whose backward pass hands a weight's gradient on as its two factors, instead of multiplying them.

M, N outputs and inputs of the layer; T tokens.
"""

from __future__ import annotations

from collections.abc import Callable
from types import MethodType
from typing import Any, TypeAlias

from torch import Tensor, nn
from torch.autograd import Function
from torch.autograd.function import once_differentiable
from torch.distributed.tensor import DTensor

__all__ = ["InterceptedLinear", "TakeFactors"]

TakeFactors: TypeAlias = Callable[[Tensor, Tensor], bool]
"""Gets the gradients of the outputs [T, M] and the inputs [T, N], whose product is the gradient of the weight, and
returns whether that is all that is to be done with it; if not, the gradient is computed and goes where it usually goes.
"""


class InterceptedLinear:
    """Has a linear layer offer its factors to `take`, until `release`.

    Its forward pass and the gradients of inputs and bias are what they were. A copy of the layer computes with its own
    weights, and offers nothing.
    """

    def __init__(self, module: nn.Linear, take: TakeFactors) -> None:
        def forward(self: nn.Linear, inputs: Tensor) -> Tensor:
            taken = take if self is module else _take_nothing
            result: Tensor = _LinearFunction.apply(inputs, self.weight, self.bias, taken)  # type: ignore[no-untyped-call]
            return result

        self._module = module
        self._forward = MethodType(forward, module)  # which copies and pickles of the module bind to themselves
        module.forward = self._forward  # type: ignore[method-assign]

    @staticmethod
    def possible(module: nn.Module) -> bool:
        """Whether the layer computes what `nn.Linear` does, with a weight that is whole in this process."""
        plain = isinstance(module, nn.Linear) and type(module).forward is nn.Linear.forward
        return plain and "forward" not in module.__dict__ and not isinstance(module.weight, DTensor)

    def release(self) -> None:
        if self._module.__dict__.get("forward") is self._forward:  # nobody else has put theirs there
            del self._module.forward


def _take_nothing(outputs_TM: Tensor, inputs_TN: Tensor) -> bool:
    return False


class _LinearFunction(Function):
    @staticmethod
    def forward(ctx: Any, inputs: Tensor, weight_MN: Tensor, bias_M: Tensor | None, take: TakeFactors) -> Tensor:
        ctx.save_for_backward(inputs, weight_MN)
        ctx.take = take
        return nn.functional.linear(inputs, weight_MN, bias_M)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, outputs_grad: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None, None]:
        inputs, weight_MN = ctx.saved_tensors
        of_inputs, of_weight, of_bias, _ = ctx.needs_input_grad
        outputs_TM = outputs_grad.reshape(-1, outputs_grad.shape[-1])
        inputs_TN = inputs.reshape(-1, inputs.shape[-1])
        weight_grad = None
        if of_weight and not ctx.take(outputs_TM, inputs_TN):
            weight_grad = outputs_TM.T @ inputs_TN
        inputs_grad = outputs_grad @ weight_MN if of_inputs else None
        return inputs_grad, weight_grad, outputs_TM.sum(0) if of_bias else None, None
