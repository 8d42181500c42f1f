"""The exceptions of engines.

EngineError                a request or a configuration the engine refuses; the message says what to change
└── EngineUnavailable      the engine is not running, or its process died: retry later or elsewhere
"""

__all__ = ["EngineError", "EngineUnavailable"]


class EngineError(Exception):
    """An engine refuses a request, or cannot start with its configuration."""


class EngineUnavailable(EngineError):
    """No engine runs."""
