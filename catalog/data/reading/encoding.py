"""Whether a text is UTF-8, and what to do where it is another encoding. Nothing is guessed in silence.

No byte says in which of the old encodings a text is, so only lines with other characters than ASCII tell: where most of
them are UTF-8, the others are broken lines; where most are not, the file is in another encoding.
"""

import re
import shlex
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from catalog.data.reading.names import COMPRESSED

__all__ = ["EncodingError", "LineEncodings", "encoding_error", "line_encodings"]

MAX_SHOWN = 60
AROUND = 20
"""Bytes in front of the first one that is no UTF-8 that are shown."""
OTHER_ALPHABET = re.compile(rb"[\xc0-\xff]{4,}|[\x80-\xff]{6,}")
"""More accents one after the other than any word of the Latin alphabet has."""
UNDEFINED = re.compile(rb"[\x81\x8d\x8f\x90\x9d]")
"""What stands for nothing in Windows-1252."""


class EncodingError(ValueError):
    """A file is in another encoding than UTF-8. The message names file and line, and says how to convert it."""


@dataclass(slots=True)
class LineEncodings:
    """How many lines of a text, of those that are not all ASCII, are UTF-8, and how many are not.

    foreign: how many of the latter cannot be Windows-1252, of which Latin-1's letters are a part.
    first: number and bytes of the first that is not UTF-8.
    """

    sound: int = 0
    broken: int = 0
    foreign: int = 0
    first: tuple[int, bytes] | None = None

    def add(self, number: int, line: bytes) -> None:
        if line.isascii():
            return
        try:
            line.decode("utf-8", "surrogatepass")  # half of a surrogate pair is broken text, not another encoding
            self.sound += 1
        except UnicodeDecodeError:
            self.broken += 1
            self.foreign += bool(UNDEFINED.search(line) or OTHER_ALPHABET.search(line))
            self.first = self.first or (number, line)

    @property
    def is_other(self) -> bool:
        """Whether the file is in another encoding."""
        return self.broken > self.sound

    @property
    def is_windows_1252(self) -> bool:
        """Whether it may well be Windows-1252 or Latin-1."""
        return self.is_other and self.foreign * 2 <= self.broken


def line_encodings(lines: Iterable[bytes]) -> LineEncodings:
    found = LineEncodings()
    for number, line in enumerate(lines, start=1):
        found.add(number, line)
    return found


def encoding_error(path: Path, found: LineEncodings) -> EncodingError:
    """What to say of a file that has lines which are no UTF-8."""
    assert found.first is not None
    number, line = found.first
    if not found.is_other:
        return EncodingError(
            f"{path}: line {number} is not UTF-8, though {found.sound:,} others are ({_shown(line)!r}): correct that"
            f" line, or leave it out"
        )
    name = "WINDOWS-1252" if found.is_windows_1252 else "ENCODING"
    if found.is_windows_1252:
        what = f"is not UTF-8 but Windows-1252 or Latin-1, as it seems: there it reads {_shown(line)!r}"
        rest = ""
    else:
        what = f"is not UTF-8, nor Windows-1252 or Latin-1 ({_shown(line)!r})"
        rest = ", where ENCODING is what wrote it, such as WINDOWS-1251, SHIFT_JIS or GB18030"
    return EncodingError(f"{path}: line {number} {what}. Convert the file with `{_command(path, name)}`{rest}")


def _command(path: Path, name: str) -> str:
    convert = f"iconv -f {name} -t UTF-8"
    if path.suffix in COMPRESSED:
        target = shlex.quote(path.stem)
        unpack = {".gz": "gzip", ".zst": "zstd", ".bz2": "bzip2", ".xz": "xz"}[path.suffix]
        return f"{unpack} -dc {shlex.quote(path.name)} | {convert} > {target}"
    return f"{convert} {shlex.quote(path.name)} > {shlex.quote(f'utf-8-{path.name}')}"


def _shown(line: bytes) -> str:
    """The part of a line around the first byte that is no UTF-8, as Windows-1252."""
    try:
        line.decode()
        start = 0
    except UnicodeDecodeError as fault:
        start = max(0, fault.start - AROUND)
    return line[start : start + MAX_SHOWN].decode("cp1252", "backslashreplace").strip()
