"""What a benchmark raises: LoadtestError, when something it measures cannot start, fails or dies."""

__all__ = ["LoadtestError"]


class LoadtestError(Exception):
    """A benchmark cannot go on; the message says where it stopped."""
