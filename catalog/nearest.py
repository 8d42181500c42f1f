"""The known name that is most like an unknown one, for messages that ask "did you mean …?"."""

from __future__ import annotations

from collections.abc import Iterable

__all__ = ["did_you_mean", "nearest_name"]

MAX_NAME_LENGTH = 100  # of a name that is looked up: a longer one is no slip of the fingers, and would take long
MIN_SIMILARITY = 0.7  # below it come names that share letters by chance: utm_source and min_score have 0.63


def nearest_name(name: str, known: Iterable[str]) -> str | None:
    """The one of `known` that `name` probably stands for, case aside; None where none is like it.

    It takes microseconds a known name, whatever `name` holds, so it may be called in an event loop.
    """
    if len(name) > MAX_NAME_LENGTH:
        return None
    # imported here, so that settings can be read where it is not installed
    from rapidfuzz import process
    from rapidfuzz.distance import Indel

    by_lowered = {other.lower(): other for other in known}
    found = process.extractOne(
        name.lower(), list(by_lowered), scorer=Indel.normalized_similarity, score_cutoff=MIN_SIMILARITY
    )
    return None if found is None else by_lowered[found[0]]


def did_you_mean(nearest: str | None) -> str:
    """The hint that stands behind an unknown name; nothing where no known one is like it."""
    return "" if nearest is None else f" (did you mean {nearest}?)"
