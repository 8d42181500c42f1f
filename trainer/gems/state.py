"""Saved tensors back into their places."""

from __future__ import annotations

from collections.abc import Collection

from torch import Tensor

from trainer.core.errors import CheckpointError

__all__ = ["check_names", "restore_"]


def restore_(target: Tensor, saved: Tensor, where: str) -> None:
    """Copies into `target`, whatever the saved tensor's device. Raises CheckpointError for another shape."""
    if saved.shape != target.shape:
        raise CheckpointError(
            f"the saved state of {where} has shape {list(saved.shape)}, here it is {list(target.shape)}: "
            "resume with the model, gems.rank and gems.task_rank it was saved with"
        )
    target.copy_(saved)


def check_names(saved: Collection[str], expected: Collection[str], what: str) -> None:
    """Raises CheckpointError unless the saved names are the expected ones."""
    if set(saved) != set(expected):
        different = sorted(set(saved) ^ set(expected))
        raise CheckpointError(
            f"the saved {what} differ from this model's, first in {different[0]}: "
            "resume with the model and the gems settings it was saved with"
        )
