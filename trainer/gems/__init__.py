"""GEMS, gradient multi-subspace tuning, as a torch optimizer. Start reading at optimizer.py."""

from trainer.config.gems import PROJECTED_MODULES, GemsConfig
from trainer.gems.nullspace.cache import cached_null_spaces, load_null_spaces, save_null_spaces
from trainer.gems.nullspace.estimate import estimate_null_spaces
from trainer.gems.nullspace.space import Energy, NullSpace, Relative
from trainer.gems.optimizer import GemsOptimizer
from trainer.gems.stats import Gates, PerTask, StepStats

__all__ = [
    "PROJECTED_MODULES",
    "Energy",
    "Gates",
    "GemsConfig",
    "GemsOptimizer",
    "NullSpace",
    "PerTask",
    "Relative",
    "StepStats",
    "cached_null_spaces",
    "estimate_null_spaces",
    "load_null_spaces",
    "save_null_spaces",
]
