"""Training state on disk, without pickle: tensors as safetensors, everything else as JSON.

A checkpoint is written beside the old one, fsynced and renamed, so an interruption leaves the old one in place. If the
model is sharded, every rank writes its own part: two files with the rank in their names. Parts that were written to
other nodes' disks then move to rank 0's, so that one rename replaces the whole.

`torch.distributed.checkpoint` could write shards too. But it pickles its metadata and everything that is no tensor,
while a checkpoint must be safe to read wherever it comes from.
"""

from __future__ import annotations

import json
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from catalog.bundle.disk import fsync, fsync_tree, plain_mode
from trainer.core.errors import CheckpointError, TrainerError
from trainer.distributed.group import SINGLE_PROCESS, ProcessGroup

TENSOR = "__tensor__"
PAIRS = "__pairs__"  # a dictionary as a list of pairs, whose keys JSON would otherwise turn into strings


def save_checkpoint(directory: Path, state: dict[str, Any], shard_group: ProcessGroup = SINGLE_PROCESS) -> None:
    """Replaces the checkpoint in a folder.

    state: nested dictionaries and lists of tensors, numbers, strings and None. Anything else raises TypeError.
    shard_group: the ranks that save a part each. All of them must call this.
    """
    draft = directory.with_name(f".{directory.name}-draft")
    shard_group.on_rank0(lambda: _make_empty(draft))
    draft.mkdir(parents=True, exist_ok=True)  # on another disk
    tensors: dict[str, torch.Tensor] = {}
    structure = _flatten(state, tensors)
    try:
        with plain_mode(draft / _tensors_file(shard_group.rank)):
            save_file(tensors, draft / _tensors_file(shard_group.rank))
        (draft / _structure_file(shard_group.rank)).write_text(json.dumps(structure), encoding="utf-8")
    except BaseException:
        shutil.rmtree(draft, ignore_errors=True)  # a full disk needs the space
        raise
    shard_group.barrier()
    shard_group.disks.collect(draft)
    shard_group.on_rank0(lambda: _replace(directory, draft))


def load_checkpoint(directory: Path, shard_group: ProcessGroup = SINGLE_PROCESS) -> dict[str, Any] | None:
    """The state that this rank saved last, or None where nothing was saved.

    shard_group: the ranks that read a part each.

    Raises TrainerError for a damaged checkpoint, and CheckpointError for one of another number of ranks.
    """
    _undo_half_replacement(directory)
    if not directory.exists():
        return None
    saved = len(list(directory.glob(_structure_file("*"))))
    if saved != shard_group.world_size:
        raise world_size_mismatch(directory, saved, shard_group.world_size)
    try:
        structure = json.loads((directory / _structure_file(shard_group.rank)).read_text(encoding="utf-8"))
        state: dict[str, Any] = _restore(structure, load_file(directory / _tensors_file(shard_group.rank)))
    except Exception as error:
        raise TrainerError(f"{directory} is damaged ({error}): delete it, or start again without --resume") from error
    return state


def saved_step(directory: Path) -> int:
    """The step at which the checkpoint in a folder continues; -1 where none is there, or a damaged one."""
    _undo_half_replacement(directory)
    try:
        structure = json.loads((directory / _structure_file(0)).read_text(encoding="utf-8"))
        return int(dict(structure[PAIRS])["step"])
    except (OSError, ValueError, KeyError, TypeError):
        return -1


def world_size_mismatch(directory: Path, saved: int, present: int) -> CheckpointError:
    """The error for a checkpoint of `saved` ranks where a run has `present` ranks."""
    return CheckpointError(
        f"{directory} was saved by {saved} processes, here are {present}: "
        f"resume with --nproc-per-node {saved}, or start again without --resume"
    )


def _structure_file(rank: int | str) -> str:
    return f"state-{rank}.json"


def _tensors_file(rank: int) -> str:
    return f"tensors-{rank}.safetensors"


def _make_empty(directory: Path) -> None:
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)


def _old(directory: Path) -> Path:
    return directory.with_name(f".{directory.name}-old")


def _undo_half_replacement(directory: Path) -> None:
    """Restores the old checkpoint where `_replace` was interrupted between its two renames."""
    old = _old(directory)
    if not directory.exists() and old.exists():
        with suppress(FileNotFoundError):  # another rank has done it
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
            return tensors[value[TENSOR]].clone()  # into aligned memory, where matrix products round as before
        return {_restore(k, tensors): _restore(v, tensors) for k, v in value[PAIRS]}
    if isinstance(value, list):
        return [_restore(entry, tensors) for entry in value]
    return value
