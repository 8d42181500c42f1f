"""The place of an entry in a stream of Redis, which is its id: streams are in its order."""

from __future__ import annotations

from typing import NamedTuple, Self

__all__ = ["StreamPlace"]


class StreamPlace(NamedTuple):
    """moment: Unix milliseconds. number: which of the entries that came in one."""

    moment: int
    number: int = 0

    @classmethod
    def of(cls, stream_id: str | bytes) -> Self:
        text = stream_id.decode() if isinstance(stream_id, bytes) else stream_id
        moment, _, number = text.partition("-")
        return cls(int(moment), int(number or 0))

    @property
    def next(self) -> Self:
        """The first place behind it."""
        return self._replace(number=self.number + 1)

    @property
    def stream_id(self) -> str:
        return f"{self.moment}-{self.number}"
