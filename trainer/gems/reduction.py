"""What the backward passes left in several processes, summed before the optimiser looks at it.

Images, sketches and plain gradients are linear in the gradient, so their sums over the processes are those of the whole
batch. A full gradient is never sent: of a projected weight S×L only images R×L, and sketches on refresh steps.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from trainer.distributed.group import ProcessGroup
from trainer.gems.layer import ProjectedLayer
from trainer.gems.plain import PlainWeight

__all__ = ["present", "sum_accumulators"]


def sum_accumulators(owners: Sequence[ProjectedLayer | PlainWeight], processes: ProcessGroup) -> None:
    """Replaces every accumulator by its sum over the processes; one without a gradient there adds zeros."""
    if processes.world == 1:
        return
    flags = iter(processes.any([tensor is not None for owner in owners for tensor in owner.accumulators()]))
    for owner in owners:
        owner.complete([next(flags) for _ in owner.accumulators()])
    processes.sum_(present(owners))


def present(owners: Sequence[ProjectedLayer | PlainWeight]) -> list[Tensor]:
    """All accumulators that hold something."""
    return [tensor for owner in owners for tensor in owner.accumulators() if tensor is not None]
