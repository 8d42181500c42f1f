"""Layer norms on CPU by vLLM's C++ kernels; by itself vLLM composes each of a dozen torch calls.

At a beam of 50 those take five times as long, and norms are a tenth of a decode step. The kernels are registered as one
more provider of vLLM's norms, which the server names in `ir_op_priority`.
"""

import torch
from torch import Tensor

__all__ = ["PRIORITY", "PROVIDER", "register"]

PROVIDER = "gemserve_cpu"
PRIORITY = {"rms_norm": [PROVIDER, "native"], "fused_add_rms_norm": [PROVIDER, "native"]}


def register() -> None:
    """Register the kernels with vLLM. Where they are missing, vLLM does not use them."""
    from vllm import ir
    from vllm.platforms import current_platform

    current_platform.import_kernels()
    supported = current_platform.is_cpu() and hasattr(torch.ops._C, "rms_norm")
    ir.ops.rms_norm.register_impl(PROVIDER, supports_args=_plain, supported=supported)(_rms_norm)
    ir.ops.fused_add_rms_norm.register_impl(PROVIDER, supports_args=_plain_pair, supported=supported, inplace=True)(
        _fused_add_rms_norm
    )


def _plain(x: Tensor, weight: Tensor | None, epsilon: float, variance_size: int | None = None) -> bool:
    return variance_size is None and weight is not None and weight.dtype == x.dtype and x.is_contiguous()


def _plain_pair(
    x: Tensor, x_residual: Tensor, weight: Tensor | None, epsilon: float, variance_size: int | None = None
) -> bool:
    return _plain(x, weight, epsilon, variance_size) and x_residual.is_contiguous()


def _rms_norm(x: Tensor, weight: Tensor | None, epsilon: float, variance_size: int | None = None) -> Tensor:
    output = torch.empty_like(x)
    torch.ops._C.rms_norm(output, x, weight, epsilon)
    return output


def _fused_add_rms_norm(
    x: Tensor, x_residual: Tensor, weight: Tensor | None, epsilon: float, variance_size: int | None = None
) -> tuple[Tensor, Tensor]:
    torch.ops._C.fused_add_rms_norm(x, x_residual, weight, epsilon)
    return x, x_residual
