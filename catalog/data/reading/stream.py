"""The bytes of a text file as UTF-8, whether it is compressed or not, and in which encoding of Unicode it is.

A file tells both by its first bytes, so its name is not asked: browsers unpack what they download, and keep `.gz`.
"""

import bz2
import codecs
import gzip
import io
import lzma
import zlib
from pathlib import Path
from typing import Any

from backports import zstd

__all__ = ["DAMAGED", "is_utf8", "opened"]

DAMAGED = (OSError, EOFError, lzma.LZMAError, zlib.error, zstd.ZstdError)
"""What reading a damaged file raises."""
_BYTES = 1 << 16
_OPENERS: tuple[tuple[bytes, Any], ...] = (
    (b"\x1f\x8b", gzip.open),
    (b"\x28\xb5\x2f\xfd", zstd.open),
    (b"BZh", bz2.open),
    (b"\xfd7zXZ\x00", lzma.open),
)
_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # begins as UTF-16's does
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)


def opened(path: Path, encoding: str = "utf-8") -> io.BufferedReader:
    """The text of a file as UTF-8, without compression and without a byte-order mark.

    encoding: of a file that has no byte-order mark and is not UTF-16; what it cannot decode becomes U+FFFD.
    Reading raises one of DAMAGED for a file that is damaged.
    """
    stream = _unpacked(path)
    head = stream.peek(64)[:64]
    for mark, name in _MARKS:
        if head.startswith(mark):
            stream.read(len(mark))
            encoding = name
            break
    else:
        encoding = _unmarked_utf16(head) or encoding
    return stream if encoding == "utf-8" else io.BufferedReader(_AsUtf8(stream, encoding), _BYTES)


def is_utf8(path: Path) -> bool:
    """Whether the whole text is valid UTF-8, or `opened` makes it so."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    with opened(path) as stream:
        try:
            while part := stream.read(_BYTES):
                decoder.decode(part)
            decoder.decode(b"", final=True)
        except UnicodeDecodeError:
            return False
    return True


def _unpacked(path: Path) -> io.BufferedReader:
    with path.open("rb") as stream:
        head = stream.read(8)
    for magic, opener in _OPENERS:
        if head.startswith(magic):
            return io.BufferedReader(opener(path), _BYTES)
    return path.open("rb")


def _unmarked_utf16(head: bytes) -> str | None:
    """UTF-16 of mostly Latin text, in which every second byte is 0."""
    half = len(head) // 2
    if half and head[1::2].count(0) > half / 2:
        return "utf-16-le"
    return "utf-16-be" if half and head[::2].count(0) > half / 2 else None


class _AsUtf8(io.RawIOBase):
    """Another encoding as UTF-8. `codecs.EncodedFile` would end lines at characters that end none in JSON."""

    def __init__(self, stream: io.BufferedReader, encoding: str) -> None:
        self._stream = stream
        self._decoder = codecs.getincrementaldecoder(encoding)("replace")
        self._ready = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        room = memoryview(buffer).cast("B")
        ended = False
        while not self._ready and not ended:
            part = self._stream.read(_BYTES)
            ended = not part
            self._ready = self._decoder.decode(part, final=ended).encode()
        taken = self._ready[: len(room)]
        room[: len(taken)] = taken
        self._ready = self._ready[len(taken) :]
        return len(taken)

    def close(self) -> None:
        self._stream.close()
        super().close()
