"""Checked loading of the optimiser's saved state."""

from __future__ import annotations

from collections.abc import Collection

from torch import Tensor

from trainer.core.errors import CheckpointError

__all__ = ["check_moments", "check_names", "restore_", "restore_remainder_"]


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


def restore_remainder_(target: Tensor | None, saved: Tensor | None, name: str) -> None:
    """Copies the saved remainder of a bfloat16 weight into `target`; both are None for a weight of another type.

    name: the weight's name, for the message of the CheckpointError that a state of another type raises.
    """
    if (target is None) != (saved is None):
        had, has = ("bfloat16", "float32") if target is None else ("float32", "bfloat16")
        raise CheckpointError(f"{name} was saved as {had}, here it is {has}: resume with the backbone.dtype of the run")
    if target is not None and saved is not None:
        restore_(target, saved, name)


def check_moments(saved: Collection[str], expected: Collection[str], name: str) -> None:
    """Raises CheckpointError where saved moments are of another form than the expected ones.

    name: what the moments belong to, for the message.
    """
    if ("row" in saved) != ("row" in expected):
        had, has = ("compact", "full") if "row" in saved else ("full", "compact")
        raise CheckpointError(
            f"the moments of {name} were saved in {had} form, here they are {has}: resume with gems.moments={had}"
        )
    if not set(expected) <= set(saved):
        raise CheckpointError(
            f"the moments of {name} were saved by another release, which kept them otherwise: finish the run with that "
            "one, or start it again"
        )


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
