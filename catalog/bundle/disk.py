"""File operations that survive a crash, a power cut, a full disk, and another process that writes to the same folder.

They are a few lines around `fsync` and `flock`; lock libraries add time limits and other systems, which nobody needs
here.
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
from pathlib import Path
from typing import IO

__all__ = ["disk_full_reason", "fsync", "fsync_tree", "is_locked", "lock"]

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
# Rust libraries (safetensors, tokenizers) raise errors of their own, numpy an OSError without a number.
_FULL_TEXT = re.compile(r"(No space left on device|Disk quota exceeded|File too large|\d+ requested and \d+ written)")


def disk_full_reason(error: BaseException) -> str | None:
    """The reason why the disk took no more bytes, where `error` or one of its causes says so; None otherwise."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, OSError) and seen.errno in _FULL:
            return os.strerror(seen.errno)
        text = _FULL_TEXT.search(str(seen))
        if text:
            return text[1]
        seen = seen.__cause__ or seen.__context__
    return None


def fsync_tree(folder: Path) -> None:
    """Make everything below a folder, and the folder's own list of names, survive a power cut."""
    for path in [*folder.rglob("*"), folder]:
        fsync(path)


def fsync(path: Path) -> None:
    """Make a file's content, or a folder's list of names, survive a power cut.

    For an atomic replacement, call it for the new file before the rename, and for the folder after it.
    """
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def lock(stream: IO[bytes]) -> bool:
    """Lock a file that is open for writing, until it is closed or this process dies; False if it is locked already."""
    try:
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def is_locked(file: Path) -> bool:
    """Whether a process holds the lock of this file. A file that does not exist is not locked."""
    try:
        with file.open("r+b") as stream:
            return not lock(stream)
    except FileNotFoundError:
        return False
