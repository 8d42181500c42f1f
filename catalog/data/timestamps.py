"""Moments as Unix milliseconds, read from ISO 8601 text too."""

from datetime import UTC, datetime, timedelta

__all__ = ["unix_ms"]

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MILLISECOND = timedelta(milliseconds=1)


def unix_ms(text: str) -> int:
    """The moment that `text` names, such as `2025-11-20T12:00:00Z` or `2025-11-20T13:00:00.250+01:00`.

    What is finer than a millisecond is cut off. Raises ValueError for text that is not ISO 8601, and for a time without
    a zone: nobody can tell which moment that is.
    """
    try:
        moment = datetime.fromisoformat(f"{text[:-1]}Z" if text.endswith("z") else text)  # RFC 3339 allows both
        if moment.tzinfo is not None:
            return (moment - EPOCH) // MILLISECOND
    except (ValueError, OverflowError) as error:
        raise ValueError(f"{text[:40]!r} is no ISO 8601 time, such as 2025-11-20T12:00:00Z") from error
    raise ValueError(f"{text[:40]!r} has no zone: end it with Z, or with an offset such as +01:00")
