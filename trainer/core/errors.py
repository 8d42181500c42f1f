"""The errors of the trainer, one tree. A message says what was wrong, where, and what to change.

TrainerError            something that stops a run and that its user can mend
├── SettingsError       a setting is out of range, or two settings do not fit each other
├── BackboneError       the model lacks what training needs, such as layers of the expected names
├── NullSpaceError      the null space cannot be estimated from this corpus, or a saved one does not fit
├── OptimizerUseError   the optimiser was called in a wrong order, such as a step without a backward pass
└── CheckpointError     saved state is damaged, or belongs to another model, setting or version
"""

__all__ = [
    "BackboneError",
    "CheckpointError",
    "NullSpaceError",
    "OptimizerUseError",
    "SettingsError",
    "TrainerError",
]


class TrainerError(Exception):
    """Something that stops a run and that its user can mend."""


class SettingsError(TrainerError):
    """A setting is out of range, or two settings do not fit each other."""


class BackboneError(TrainerError):
    """The model lacks what training needs."""


class NullSpaceError(TrainerError):
    """The null space cannot be estimated, or a saved one does not fit the model."""


class OptimizerUseError(TrainerError):
    """The optimiser was called in a wrong order, such as a step without a backward pass."""


class CheckpointError(TrainerError):
    """Saved state is damaged, or belongs to another model, setting or version."""
