"""Adam: moments that can follow their gradient into another basis, and AdamW for weights that are not projected.

torch's Adam serves neither. Its moments have the shape of a parameter, while these belong to coordinates in a subspace
that is replaced every few hundred steps. And it steps a parameter as a whole, while this one can step some rows only,
and keeps the remainders of bfloat16 weights. Where both apply, a test holds that they agree.
"""

from trainer.gems.adam.compact import CompactMoments
from trainer.gems.adam.moments import AdamSettings, Moments
from trainer.gems.adam.plain_weight import PlainWeight

__all__ = ["AdamSettings", "CompactMoments", "Moments", "PlainWeight"]
