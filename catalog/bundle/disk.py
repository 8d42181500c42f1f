"""What folders need to outlive a crash, a power cut, a full disk, and another process that writes beside them."""

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
_TOLD = re.compile(r"(No space left on device|Disk quota exceeded|File too large|\d+ requested and \d+ written)")


def disk_full_reason(error: BaseException) -> str | None:
    """Why the disk took no more bytes, where that is what `error` or an error behind it says; else None."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, OSError) and seen.errno in _FULL:
            return os.strerror(seen.errno)
        told = _TOLD.search(str(seen))
        if told:
            return told[1]
        seen = seen.__cause__ or seen.__context__
    return None


def fsync_tree(folder: Path) -> None:
    """Returns when everything below a folder, and the folder's list of names, would survive a power cut."""
    for path in [*folder.rglob("*"), folder]:
        fsync(path)


def fsync(path: Path) -> None:
    """One file's content, or one folder's list of names. To be called before and after the rename that shows it."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def lock(stream: IO[bytes]) -> bool:
    """Takes a file that is open for writing, until it is closed or this process dies; False where another has it."""
    try:
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def is_locked(file: Path) -> bool:
    """Whether some process has `lock`ed this file; one that does not exist is not locked."""
    try:
        with file.open("r+b") as stream:
            return not lock(stream)
    except FileNotFoundError:
        return False
