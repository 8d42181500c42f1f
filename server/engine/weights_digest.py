"""A digest of a checkpoint's weights, whatever files they are stored in and in whatever order they are read.

It tells whether an engine has loaded what it should have loaded.
"""

import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path

import torch
from safetensors import safe_open
from torch import Tensor

__all__ = ["WeightsDigest", "checkpoint_digest"]


class WeightsDigest:
    """SHA-256 over the names, dtypes, shapes and bytes of tensors, in order of their names."""

    def __init__(self) -> None:
        self._tensors: dict[str, str] = {}

    def watch(self, weights: Iterable[tuple[str, Tensor]]) -> Iterator[tuple[str, Tensor]]:
        """The same weights; each is added when it passes."""
        for name, tensor in weights:
            self.add(name, tensor)
            yield name, tensor

    def add(self, name: str, tensor: Tensor) -> None:
        """Add one tensor."""
        value = hashlib.sha256(f"{name} {tensor.dtype} {list(tensor.shape)} ".encode())
        value.update(tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().data)
        self._tensors[name] = value.hexdigest()

    def hexdigest(self) -> str:
        """The digest of all tensors so far."""
        return hashlib.sha256("\n".join(self._tensors[name] for name in sorted(self._tensors)).encode()).hexdigest()


def checkpoint_digest(model_dir: Path) -> str:
    """The digest of the safetensors files in a folder. Raises OSError where there is none."""
    digest, files = WeightsDigest(), sorted(model_dir.glob("*.safetensors"))
    if not files:
        raise FileNotFoundError(f"{model_dir} has no safetensors file")
    for file in files:
        with safe_open(file, framework="pt") as tensors:
            for name in tensors.keys():  # noqa: SIM118 - it has no other iterator
                digest.add(name, tensors.get_tensor(name))
    return digest.hexdigest()
