"""Linear layers whose backward pass hands a weight's gradient on as its two factors, instead of multiplying them.

M, N outputs and inputs of the layer; T tokens.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias
from weakref import WeakKeyDictionary, ref

import torch
from torch import Tensor, nn
from torch.autograd import Function
from torch.distributed.tensor import DTensor

__all__ = ["InterceptedLinear", "TakeFactors"]

TakeFactors: TypeAlias = Callable[[Tensor, Tensor], bool]
"""Gets the gradients of the outputs [T, M] and the inputs [T, N], whose product is the gradient of the weight, and
returns whether that is all that is to be done with it; if not, the gradient is computed and goes where it usually goes.
"""


class InterceptedLinear:
    """Has a linear layer offer its factors to `take`, as long as this object lives and until `release`.

    The layer's forward pass and the gradients of its inputs and bias are what they were. It offers nothing, and its
    gradient is computed, under autocast, while the weight has hooks of others, when another weight was put in the place
    of the one that it had, and where it is copied or pickled.
    """

    def __init__(self, module: nn.Linear, take: TakeFactors) -> None:
        self._module, self._weight, self._take = module, module.weight, take
        module.__class__ = _OfferingLinear
        _INTERCEPTED[module] = ref(self)

    @staticmethod
    def possible(module: nn.Module) -> bool:
        """Whether it is torch's own `nn.Linear`, with a weight that is whole in this process, and offers to nobody."""
        known = type(module) is nn.Linear or (type(module) is _OfferingLinear and _interception_of(module) is None)
        return known and not isinstance(module.weight, DTensor)

    def release(self) -> None:
        if _interception_of(self._module) is self:
            del _INTERCEPTED[self._module]
            self._module.__class__ = nn.Linear

    def offer(self, outputs_TM: Tensor, inputs_TN: Tensor) -> bool:
        """What `take` says; False where others wait for the weight's gradient."""
        of_gradient = self._weight._backward_hooks
        of_sum = self._weight._post_accumulate_grad_hooks  # one is the optimiser's
        if of_gradient or (of_sum is not None and len(of_sum) > 1):
            return False
        return self._take(outputs_TM, inputs_TN)

    def offers(self, module: nn.Linear, inputs: Tensor) -> bool:
        """Whether the pass that begins is to end in an offer."""
        device = inputs.device.type
        mixed = torch.amp.is_autocast_available(device) and torch.is_autocast_enabled(device)
        return torch.is_grad_enabled() and module.weight is self._weight and not mixed


class _OfferingLinear(nn.Linear):
    """What an intercepted layer is meanwhile: its forward pass looks for who intercepts it, and a copy finds nobody."""

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002  as it is called in torch
        interception = _interception_of(self)
        if interception is None or not interception.offers(self, input):
            return super().forward(input)
        result: Tensor = _LinearFunction.apply(input, self.weight, self.bias, interception.offer)  # type: ignore[no-untyped-call]
        return result

    def _get_name(self) -> str:
        return "Linear"


_INTERCEPTED: WeakKeyDictionary[nn.Module, ref[InterceptedLinear]] = WeakKeyDictionary()


def _interception_of(module: nn.Module) -> InterceptedLinear | None:
    found = _INTERCEPTED.get(module)
    return None if found is None else found()


class _LinearFunction(Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(inputs: Tensor, weight_MN: Tensor, bias_M: Tensor | None, offer: TakeFactors) -> Tensor:
        return nn.functional.linear(inputs, weight_MN, bias_M)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor, Tensor | None, TakeFactors], output: Tensor) -> None:
        own_inputs, weight_MN, _, ctx.offer = inputs
        of_inputs, of_weight, _, _ = ctx.needs_input_grad
        ctx.save_for_backward(own_inputs if of_weight else None, weight_MN if of_inputs else None)

    @staticmethod
    def backward(ctx: Any, outputs_grad: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None, None]:
        inputs, weight_MN = ctx.saved_tensors
        of_inputs, of_weight, of_bias, _ = ctx.needs_input_grad
        outputs_TM = outputs_grad.reshape(-1, outputs_grad.shape[-1])
        weight_grad = None
        if of_weight:
            inputs_TN = inputs.reshape(-1, inputs.shape[-1])
            if not ctx.offer(outputs_TM, inputs_TN):
                weight_grad = outputs_TM.T @ inputs_TN
        inputs_grad = outputs_grad @ weight_MN if of_inputs else None
        return inputs_grad, weight_grad, outputs_TM.sum(0) if of_bias else None, None
