"""Tensors that claim to be on another device while the processor computes them, so that mixing devices is a fault here.

A GPU refuses most operations on tensors of two devices; a machine without one never notices. The claimed device is
`meta`, the only one besides the processor for which torch computes gradients in every build.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

__all__ = ["CLAIMED", "MixedDevices", "pretended_gpu"]

CLAIMED = torch.device("meta")
PROCESSOR = torch.device("cpu")
COPIES = ("aten._to_copy", "aten.copy_", "aten.to.")
INDEXED = ("aten.index.Tensor", "aten.index_put")
"""Operations whose indices may be in main memory, on a GPU too."""


class MixedDevices(RuntimeError):
    """An operation on tensors of two devices, which a GPU refuses."""


class Claiming(torch.Tensor):
    """A tensor that claims to be on CLAIMED and on CUDA; `held` is the one that computes."""

    held: torch.Tensor

    @staticmethod
    def __new__(cls, held: torch.Tensor) -> Claiming:
        place = {"strides": held.stride(), "storage_offset": held.storage_offset(), "dtype": held.dtype}
        made: Claiming = torch.Tensor._make_wrapper_subclass(cls, held.shape, device=CLAIMED, **place)
        made.held = held
        return made

    @property
    def is_cuda(self) -> bool:
        return True

    def tolist(self) -> Any:
        return self.held.tolist()

    @classmethod
    def __torch_dispatch__(cls, operation: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _compute(operation, args, kwargs or {})


class ClaimingMode(TorchDispatchMode):
    """Has operations that make tensors on CLAIMED, or bring them there, give claiming ones."""

    def __torch_dispatch__(self, operation: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _compute(operation, args, kwargs or {})


class ClaimingGenerator(torch.Generator):
    """A generator of the processor that claims the device it was asked for."""

    def __new__(cls, device: torch.device | str = PROCESSOR) -> ClaimingGenerator:
        made = super().__new__(cls, PROCESSOR)
        made.claimed = torch.device(device)
        return made

    @property
    def device(self) -> torch.device:
        return self.claimed


@contextmanager
def pretended_gpu() -> Iterator[torch.device]:
    """Within the context, tensors and generators on the device that it gives are claiming ones."""
    tensor, as_tensor = torch.tensor, torch.as_tensor

    def make(data: Any, *, device: Any = None, **options: Any) -> torch.Tensor:
        made = tensor(data, **options)
        return made if device is None else made.to(device)

    def convert(data: Any, *, device: Any = None, **options: Any) -> torch.Tensor:
        made = data if isinstance(data, Claiming) else as_tensor(data, **options)
        return made if device is None else made.to(device)

    with (
        patch.object(torch, "tensor", make),
        patch.object(torch, "as_tensor", convert),
        patch.object(torch, "Generator", ClaimingGenerator),
        patch("torch.nn.utils.clip_grad._device_has_foreach_support", lambda device: True),
        ClaimingMode(),
    ):
        yield CLAIMED


def _compute(operation: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    leaves = tree_leaves((args, kwargs))
    tensors = [leaf for leaf in leaves if isinstance(leaf, torch.Tensor)]
    claiming = any(isinstance(tensor, Claiming) for tensor in tensors)
    asked = next((leaf for leaf in leaves if isinstance(leaf, torch.device)), None)
    copies = str(operation).startswith(COPIES)
    if claiming and not copies:
        _check(str(operation), tensors)
    held = {id(_held(tensor)): tensor for tensor in tensors} if not copies else {}
    result = operation(*tree_map(_held, args), **tree_map(_held, kwargs))
    if not operation._schema.returns:
        return None
    if operation._schema.is_mutable and str(operation).split(".")[1].endswith("_"):
        return args[0]
    on_claimed = asked == CLAIMED if asked is not None else claiming

    def claim(value: Any) -> Any:
        if not isinstance(value, torch.Tensor):
            return value
        return held.get(id(value)) if id(value) in held else Claiming(value) if on_claimed else value

    return tree_map(claim, result)


def _check(operation: str, tensors: list[torch.Tensor]) -> None:
    indexed = operation.startswith(INDEXED) and isinstance(tensors[0], Claiming)
    elsewhere = [tensor for tensor in tensors if not isinstance(tensor, Claiming) and tensor.dim()]
    if elsewhere and not indexed:
        sizes = [("device" if isinstance(tensor, Claiming) else "cpu", tuple(tensor.shape)) for tensor in tensors]
        raise MixedDevices(f"{operation}: {sizes}")


def _held(leaf: Any) -> Any:
    if isinstance(leaf, Claiming):
        return leaf.held
    return PROCESSOR if isinstance(leaf, torch.device) else leaf
