"""The null space of one projected weight, on the weight's shorter or on its longer side.

How updates are kept inside it depends on the side:

- shorter: the bases are chosen inside the null space, so every update made of them lies in it;
- longer: projected gradients are projected on the null space, and so are Adam's directions, which its elementwise
  division leads out of it. Both are thin matrices, so this is cheap.

M, N rows and columns of the weight; L its longer side; C columns of the sketch. Small letters are this rank's part.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from trainer.core.errors import NullSpaceError
from trainer.gems.layer.sharded import ShardedWeight
from trainer.gems.nullspace.space import NullSpace

__all__ = ["LayerNullSpace"]


class LayerNullSpace:
    """A layer's null space, if it has one, as this rank keeps it.

    space: the null space; None lets updates go in any direction.
    short, long: it, if it is one of the weight's shorter or longer side.
    """

    def __init__(self, space: NullSpace | None, *, transposed: bool) -> None:
        """transposed: whether the weight's rows are its longer side."""
        self.space = space
        on_short_side = space is not None and (space.side == "output") != transposed
        self.short = space if on_short_side else None
        self.long = None if on_short_side else space
        self._transposed = transposed

    @classmethod
    def of(
        cls, space: NullSpace | None, name: str, weight: nn.Parameter, shard: ShardedWeight, dtype: torch.dtype
    ) -> LayerNullSpace:
        """This rank's part of a layer's null space, beside the weight and in the compute type.

        name: the layer's name, for messages. dtype: the compute type.

        Raises NullSpaceError for a null space of another width than the layer's.
        """
        if space is None:
            return cls(None, transposed=shard.transposed)
        width = weight.shape[0 if space.side == "output" else 1]
        if space.width != width:
            raise NullSpaceError(
                f"the null space of {name} is {space.width} wide, its {space.side} side {width}: "
                "estimate it on this model"
            )
        return cls(shard.shard_null_space(space).to(weight.device, dtype), transposed=shard.transposed)

    def shared_with(self, other: LayerNullSpace) -> LayerNullSpace | None:
        """The same null space in the memory of another layer's, where that is equal; None where it is not."""
        if self.space is None or other.space is None or not self.space.equals(other.space):
            return None
        return LayerNullSpace(other.space, transposed=self._transposed)

    def part_of(self, weight_mN: Tensor) -> Tensor:
        """The part of a weight [m, N] in the null space, which is all that weight decay may shrink, in its memory."""
        if self.space is not None and self.space.side == "output":
            self.space.project_(weight_mN)
        elif self.space is not None:  # this rank holds all columns of its rows
            self.space.gathered().project_(weight_mN.T)
        return weight_mN

    def held(self) -> Iterator[tuple[str, Tensor]]:
        """Its tensors, each with the name of the part of memory it belongs to."""
        if self.space is not None:
            yield "null factors", self.space.factor_WK
            if self.space.gram_correction_KK is not None:
                yield "null factors", self.space.gram_correction_KK
