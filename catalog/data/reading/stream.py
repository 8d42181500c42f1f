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

__all__ = ["DAMAGED", "opened"]

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
_BY_ZEROS = {
    (False, True, True, True): "utf-32-le",
    (True, True, True, False): "utf-32-be",
    (False, True): "utf-16-le",
    (True, False): "utf-16-be",
}
_WIDE = {*_BY_ZEROS.values()}


def opened(path: Path, encoding: str = "utf-8") -> io.BufferedReader:
    """The text of a file as UTF-8, without compression and without a byte-order mark.

    encoding: of a file that has no byte-order mark and is neither UTF-16 nor UTF-32.
    Reading raises one of DAMAGED for a file that is damaged, and for bytes that its encoding does not have. Half of a
    surrogate pair in UTF-16, which JavaScript writes, stays one, so that only its line is broken.
    """
    stream = _unpacked(path)
    head = stream.peek(64)[:64]
    for mark, name in _MARKS:
        if head.startswith(mark):
            stream.read(len(mark))
            encoding = name
            break
    else:
        encoding = _unmarked(head) or encoding
    return stream if encoding == "utf-8" else io.BufferedReader(_AsUtf8(stream, encoding), _BYTES)


def _unpacked(path: Path) -> io.BufferedReader:
    with path.open("rb") as stream:
        head = stream.read(8)
    for magic, opener in _OPENERS:
        if head.startswith(magic):
            return io.BufferedReader(opener(path), _BYTES)
    return path.open("rb")


def _unmarked(head: bytes) -> str | None:
    """UTF-16 or UTF-32 of a text that begins with an ASCII character, as JSON and tables with a header do.

    No other text has bytes of 0. https://www.rfc-editor.org/rfc/rfc4627#section-3
    """
    zeros = tuple(byte == 0 for byte in head[:4])
    return _BY_ZEROS.get(zeros) or _BY_ZEROS.get(zeros[:2])


class _AsUtf8(io.RawIOBase):
    """Another encoding as UTF-8. `codecs.EncodedFile` would end lines at characters that end none in JSON."""

    def __init__(self, stream: io.BufferedReader, encoding: str) -> None:
        self._stream = stream
        self._encoding = encoding
        self._decoder = codecs.getincrementaldecoder(encoding)("surrogatepass" if encoding in _WIDE else "strict")
        self._ready = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        room = memoryview(buffer).cast("B")
        ended = False
        while not self._ready and not ended:
            part = self._stream.read(_BYTES)
            ended = not part
            try:
                self._ready = self._decoder.decode(part, final=ended).encode("utf-8", "surrogatepass")
            except UnicodeDecodeError as fault:
                raise EOFError(f"it is no {self._encoding.upper()}: {fault.reason}") from fault
        taken = self._ready[: len(room)]
        room[: len(taken)] = taken
        self._ready = self._ready[len(taken) :]
        return len(taken)

    def close(self) -> None:
        self._stream.close()
        super().close()
