"""One projected weight: its subspaces and their ranks, its null space, and what a batch accumulates for it."""

from trainer.gems.layer.projected import ProjectedLayer

__all__ = ["ProjectedLayer"]
