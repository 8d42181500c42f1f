"""One projected weight: its gradients, subspaces and ranks, its null space, and what a batch accumulates for it."""

from trainer.gems.layer.gradient import Gradient
from trainer.gems.layer.linear import InterceptedLinear
from trainer.gems.layer.projected import ProjectedLayer

__all__ = ["Gradient", "InterceptedLinear", "ProjectedLayer"]
