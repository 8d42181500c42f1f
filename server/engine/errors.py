"""What an engine raises.

EngineError                a request or a configuration the engine refuses; the message says what to change
└── EngineUnavailable      the engine is not running, or its process died: retry later or elsewhere
"""

__all__ = ["EngineError", "EngineUnavailable"]


class EngineError(Exception):
    """The engine refuses this request or cannot start with this configuration."""


class EngineUnavailable(EngineError):
    """No engine is there to answer."""
