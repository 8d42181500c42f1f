"""Null spaces on disk, in files named after a hash of everything that they were estimated from."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, cast

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from catalog.bundle.disk import plain_mode
from trainer.config.gems import PROJECTED_MODULES
from trainer.core.errors import NullSpaceError
from trainer.distributed.dtensor import full_tensor
from trainer.distributed.group import SINGLE_PROCESS, ProcessGroup
from trainer.gems.nullspace.estimate import estimate_null_spaces
from trainer.gems.nullspace.space import Energy, NullSpace, Side, Threshold

__all__ = ["cached_null_spaces", "load_null_spaces", "save_null_spaces"]


def cached_null_spaces(
    directory: Path,
    model: nn.Module,
    batches: Sequence[Mapping[str, Tensor]],
    *,
    side: Side = "output",
    threshold: Threshold = Energy(),  # noqa: B008 -- frozen
    modules: Sequence[str] = PROJECTED_MODULES,
    shard_group: ProcessGroup = SINGLE_PROCESS,
) -> dict[str, NullSpace]:
    """The result of `estimate_null_spaces`, read from `directory` if it was saved there for the same arguments.

    directory: the folder of saved results; a new one is added.
    model, batches, side, threshold, modules: the arguments of `estimate_null_spaces`.
    shard_group: the ranks among which the model's weights are split; all of them must call this.

    Raises NullSpaceError for a damaged file, naming it.
    """
    key = json.dumps([_model_hash(model), _corpus_hash(batches), side, repr(threshold), sorted(modules)])
    file = directory / f"null-spaces-{hashlib.sha256(key.encode()).hexdigest()[:24]}.safetensors"
    if not shard_group.on_rank0(file.exists):
        spaces = estimate_null_spaces(model, batches, side=side, threshold=threshold, modules=modules)
        shard_group.on_rank0(lambda: save_null_spaces(spaces, file))
    shard_group.disks.mirror(directory)
    return load_null_spaces(file)  # memory laid out as a later run will have it, so that both round alike


def save_null_spaces(spaces: Mapping[str, NullSpace], file: Path) -> None:
    """Writes one safetensors file: each layer's factor, and as metadata its side and what the factor spans."""
    about = {name: [space.side, space.spans] for name, space in spaces.items()}
    file.parent.mkdir(parents=True, exist_ok=True)
    draft = file.with_name(f".{file.name}-draft")
    tensors = {name: space.factor_WK.contiguous().cpu() for name, space in spaces.items()}
    with plain_mode(draft):
        save_file(tensors, draft, metadata={"null_spaces": json.dumps(about)})
    draft.replace(file)


def load_null_spaces(file: Path) -> dict[str, NullSpace]:
    """Reads what `save_null_spaces` wrote. Raises NullSpaceError, naming the file, when it is missing or damaged."""
    try:
        with safe_open(file, framework="pt") as tensors:
            about: dict[str, Any] = json.loads(tensors.metadata()["null_spaces"])
            return {
                name: NullSpace(cast(Side, side), cast(Literal["protected", "free"], spans), tensors.get_tensor(name))
                for name, (side, spans) in about.items()
            }
    except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
        raise NullSpaceError(f"{file} holds no null spaces ({error}): delete it, it will be estimated again") from error


def _model_hash(model: nn.Module) -> str:
    digest = hashlib.sha256()
    for name, weight in model.state_dict().items():
        digest.update(f"{name} {weight.dtype} {list(weight.shape)}".encode())
        digest.update(_bytes(full_tensor(weight)))
    return digest.hexdigest()


def _corpus_hash(batches: Sequence[Mapping[str, Tensor]]) -> str:
    digest = hashlib.sha256()
    for batch in batches:
        for name in sorted(batch):
            digest.update(f"{name} {list(batch[name].shape)}".encode())
            digest.update(_bytes(batch[name].long()))
    return digest.hexdigest()


def _bytes(tensor: Tensor) -> bytes:
    return tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes()
