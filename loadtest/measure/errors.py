"""The exception of all benchmarks."""

__all__ = ["LoadtestError"]


class LoadtestError(Exception):
    """Something that is measured cannot start, fails or dies; the message says what and where."""
