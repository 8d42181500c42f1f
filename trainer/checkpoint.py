"""Training state on disk, without pickle: tensors as safetensors, everything else as JSON.

A checkpoint is written beside the old one and renamed, so an interruption leaves the one before it.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from trainer.errors import TrainerError

TENSOR = "__tensor__"
PAIRS = "__pairs__"  # a dictionary with keys that JSON would turn into strings


def save_checkpoint(directory: Path, state: dict[str, Any]) -> None:
    """`state`: nested dictionaries, lists, tensors, numbers, strings, None."""
    draft = directory.with_name(f".{directory.name}-draft")
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(parents=True)
    tensors: dict[str, torch.Tensor] = {}
    structure = _flatten(state, tensors)
    save_file(tensors, draft / "tensors.safetensors")
    (draft / "state.json").write_text(json.dumps(structure), encoding="utf-8")
    old = directory.with_name(f".{directory.name}-old")
    shutil.rmtree(old, ignore_errors=True)
    if directory.exists():
        directory.rename(old)
    draft.rename(directory)
    shutil.rmtree(old, ignore_errors=True)


def load_checkpoint(directory: Path) -> dict[str, Any] | None:
    """The last saved state, or None where nothing was saved. Raises TrainerError for a damaged checkpoint."""
    old = directory.with_name(f".{directory.name}-old")
    if not directory.exists() and old.exists():  # interrupted between the two renames
        old.rename(directory)
    if not directory.exists():
        return None
    try:
        structure = json.loads((directory / "state.json").read_text(encoding="utf-8"))
        state: dict[str, Any] = _restore(structure, load_file(directory / "tensors.safetensors"))
    except Exception as error:
        raise TrainerError(f"{directory} is damaged ({error}): delete it, or start again without --resume") from error
    return state


def _flatten(value: Any, tensors: dict[str, torch.Tensor]) -> Any:
    if isinstance(value, torch.Tensor):
        name = f"t{len(tensors)}"
        tensors[name] = value.detach().contiguous().clone()
        return {TENSOR: name}
    if isinstance(value, dict):
        return {PAIRS: [[_flatten(k, tensors), _flatten(v, tensors)] for k, v in value.items()]}
    if isinstance(value, (list, tuple)):
        return [_flatten(entry, tensors) for entry in value]
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise TypeError(f"a checkpoint cannot hold a {type(value).__name__}")


def _restore(value: Any, tensors: dict[str, torch.Tensor]) -> Any:
    if isinstance(value, dict):
        if TENSOR in value:
            return tensors[value[TENSOR]].clone()  # aligned memory: matrix products of unaligned ones round otherwise
        return {_restore(k, tensors): _restore(v, tensors) for k, v in value[PAIRS]}
    if isinstance(value, list):
        return [_restore(entry, tensors) for entry in value]
    return value
