"""Checked loading of the optimiser's saved state."""

from __future__ import annotations

from collections.abc import Collection

from torch import Tensor

from trainer.core.errors import CheckpointError

__all__ = ["check_names", "restore_"]


def restore_(target: Tensor, saved: Tensor, name: str) -> None:
    """Copies a saved tensor, from whatever device, into `target`.

    name: what the tensor belongs to, for the message of the CheckpointError that another shape raises.
    """
    if saved.shape != target.shape:
        raise CheckpointError(
            f"the saved state of {name} has shape {list(saved.shape)}, here it is {list(target.shape)}: "
            "resume with the model, gems.rank and gems.task_rank it was saved with"
        )
    target.copy_(saved)


def check_names(saved: Collection[str], expected: Collection[str], what: str) -> None:
    """Raises CheckpointError unless the saved names are the expected ones.

    what: what they are names of, for the message.
    """
    if set(saved) != set(expected):
        different = sorted(set(saved) ^ set(expected))
        raise CheckpointError(
            f"the saved {what} differ from this model's, first in {different[0]}: "
            "resume with the model and the gems settings it was saved with"
        )
