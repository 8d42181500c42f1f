"""Training state on disk, without pickle: tensors as safetensors, everything else as JSON.

A checkpoint is written beside the old one, fsynced and renamed, so an interruption leaves the one before it. Where
processes hold the model between them each writes its own part, two files with its number.
"""

from __future__ import annotations

import json
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from catalog.bundle.disk import fsync, fsync_tree
from trainer.core.errors import CheckpointError, TrainerError
from trainer.distributed.group import ALONE, ProcessGroup

TENSOR = "__tensor__"
PAIRS = "__pairs__"  # a dictionary with keys that JSON would turn into strings


def save_checkpoint(directory: Path, state: dict[str, Any], shards: ProcessGroup = ALONE) -> None:
    """`state`: nested dictionaries, lists, tensors, numbers, strings, None; each of the `shards` has its own."""
    draft = directory.with_name(f".{directory.name}-draft")
    shards.once(lambda: _make_empty(draft))
    tensors: dict[str, torch.Tensor] = {}
    structure = _flatten(state, tensors)
    try:
        save_file(tensors, draft / _tensors_of(shards.rank))
        (draft / _structure_of(shards.rank)).write_text(json.dumps(structure), encoding="utf-8")
    except BaseException:
        shutil.rmtree(draft, ignore_errors=True)  # a full disk needs the space
        raise
    shards.wait()
    shards.once(lambda: _replace(directory, draft))


def load_checkpoint(directory: Path, shards: ProcessGroup = ALONE) -> dict[str, Any] | None:
    """The state that this process saved last, or None where nothing was saved.

    Raises TrainerError for a damaged checkpoint, CheckpointError for one of another number of shards.
    """
    _bring_back(directory)
    if not directory.exists():
        return None
    saved = len(list(directory.glob(_structure_of("*"))))
    if saved != shards.world:
        raise other_number(directory, saved, shards.world)
    try:
        structure = json.loads((directory / _structure_of(shards.rank)).read_text(encoding="utf-8"))
        state: dict[str, Any] = _restore(structure, load_file(directory / _tensors_of(shards.rank)))
    except Exception as error:
        raise TrainerError(f"{directory} is damaged ({error}): delete it, or start again without --resume") from error
    return state


def other_number(directory: Path, saved: int, here: int) -> CheckpointError:
    """What to raise for a checkpoint of `saved` processes where there are others."""
    return CheckpointError(
        f"{directory} was saved by {saved} processes, here are {here}: "
        f"resume with --nproc-per-node {saved}, or start again without --resume"
    )


def _structure_of(rank: int | str) -> str:
    return f"state-{rank}.json"


def _tensors_of(rank: int) -> str:
    return f"tensors-{rank}.safetensors"


def _make_empty(directory: Path) -> None:
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)


def _old(directory: Path) -> Path:
    return directory.with_name(f".{directory.name}-old")


def _bring_back(directory: Path) -> None:
    old = _old(directory)
    if not directory.exists() and old.exists():  # interrupted between the two renames
        with suppress(FileNotFoundError):  # another of the shards did
            old.rename(directory)


def _replace(directory: Path, draft: Path) -> None:
    fsync_tree(draft)
    old = _old(directory)
    shutil.rmtree(old, ignore_errors=True)
    if directory.exists():
        directory.rename(old)
    draft.rename(directory)
    fsync(directory.parent)
    shutil.rmtree(old, ignore_errors=True)


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
