"""What is made of each of many entries, and made again only for those that are others than the last time."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Generic, TypeVar

__all__ = ["PerEntry"]

Entry = TypeVar("Entry")
Made = TypeVar("Made")


class PerEntry(Generic[Entry, Made]):
    """Of ten thousand entries one changes at a time; they are told apart as objects, without looking into them.

    Of several threads one may ask at a time.
    """

    def __init__(self, make: Callable[[Entry], Made]) -> None:
        self._make = make
        self._known: dict[str, tuple[Entry, Made]] = {}

    def of(self, entries: Mapping[str, Entry]) -> dict[str, Made]:
        """By the names of the entries, in their order."""
        known = self._known
        self._known = {}
        for name, entry in entries.items():
            found = known.get(name)
            self._known[name] = found if found is not None and found[0] is entry else (entry, self._make(entry))
        return {name: made for name, (_, made) in self._known.items()}
