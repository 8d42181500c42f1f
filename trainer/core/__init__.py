"""What every part of the trainer builds on: errors, the exit status of commands, and progress on the terminal."""

from trainer.core.errors import (
    BackboneError,
    CheckpointError,
    NullSpaceError,
    OptimizerUseError,
    SettingsError,
    TrainerError,
)

__all__ = [
    "BackboneError",
    "CheckpointError",
    "NullSpaceError",
    "OptimizerUseError",
    "SettingsError",
    "TrainerError",
]
