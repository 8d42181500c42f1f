"""Places in the text of a filter, and the error that points at one."""

from dataclasses import dataclass

from catalog.errors import FilterError

__all__ = ["Span", "fault", "shorten"]


@dataclass(frozen=True, slots=True)
class Span:
    """`length` characters from offset `position` on; no character where something is missing at the end."""

    position: int
    length: int


def fault(message: str, span: Span) -> FilterError:
    """The error to raise. People count characters from 1, so its message does; its `position` counts from 0."""
    return FilterError(f"character {span.position + 1}: {message}", position=span.position, length=span.length)


def shorten(text: str) -> str:
    """A piece of somebody's text, short enough to be repeated in a message."""
    return text if len(text) <= 40 else f"{text[:39]}…"
