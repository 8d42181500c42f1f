"""The lines of a body that comes in pieces, in chunks that are applied together. No more than a chunk is held."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Sequence
from dataclasses import dataclass

from server.api.schemas.json_text import BYTE_ORDER_MARK

__all__ = ["MAX_CHUNK_LINES", "BodyLines", "Line", "chunked"]

MAX_CHUNK_LINES = 1_000
WINDOW = 1 << 16  # bytes that are split at a time


@dataclass(frozen=True, slots=True)
class Line:
    """A line that is not blank. index: of all such lines, from 0. text: None where it is too long to be read."""

    index: int
    text: bytes | None


class BodyLines:
    """Splits a body into its lines as it arrives.

    complete: whether all of the body has arrived.
    """

    def __init__(self, pieces: AsyncIterator[bytes], max_line_bytes: int) -> None:
        self.complete = False
        self._pieces = pieces
        self._max_line_bytes = max_line_bytes
        self._first: bytes | None = None
        self._begun = False
        self._rest: list[bytes] = []
        self._rest_bytes = 0
        self._count = 0

    async def begin(self) -> bool:
        """Waits for the first piece; False where there is none. Raises what receiving it raises, a Problem too."""
        async for piece in self._pieces:
            if piece:
                self._first = piece.removeprefix(BYTE_ORDER_MARK)
                return True
        return False

    async def windows(self) -> AsyncGenerator[list[Line], None]:
        """The lines that a few kilobytes more of the body complete."""
        if self._first is not None:
            for lines in self._split(self._first):
                yield lines
        self._first = None
        async for piece in self._pieces:
            for lines in self._split(piece):
                yield lines
        self.complete = True
        yield self._lines([b""])

    def _split(self, piece: bytes) -> Iterator[list[Line]]:
        for start in range(0, len(piece), WINDOW):
            *ended, rest = piece[start : start + WINDOW].split(b"\n")
            yield self._lines(ended) if ended else []
            self._keep(rest)

    def _lines(self, ended: Sequence[bytes]) -> list[Line]:
        """ended: what completes the line that has begun, then whole lines."""
        self._keep(ended[0])
        first = None if self._rest_bytes > self._max_line_bytes else b"".join(self._rest)
        self._rest, self._rest_bytes = [], 0
        others = (None if len(text) > self._max_line_bytes else text for text in ended[1:])
        texts = (None if text is None else text.strip() for text in (first, *others))
        lines = [Line(self._count + at, text) for at, text in enumerate(text for text in texts if text != b"")]
        self._count += len(lines)
        return lines

    def _keep(self, part: bytes) -> None:
        self._rest_bytes += len(part)
        if self._rest_bytes <= self._max_line_bytes:
            self._rest.append(part)
        else:
            self._rest = []


async def chunked(windows: AsyncIterator[list[Line]], max_bytes: int) -> AsyncGenerator[list[Line], None]:
    """As many lines at a time as are applied together: at most 1,000, and no more behind one that fills `max_bytes`."""
    chunk: list[Line] = []
    size = 0
    async for lines in windows:
        for line in lines:
            chunk.append(line)
            size += len(line.text or b"")
            if len(chunk) == MAX_CHUNK_LINES or size >= max_bytes:
                yield chunk
                chunk, size = [], 0
    if chunk:
        yield chunk
