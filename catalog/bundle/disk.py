"""File operations that survive a crash, a power cut, a full disk, and another process that writes to the same folder.

They are a few lines around `fsync` and `flock`; lock libraries add time limits and other systems, which nobody needs
here.
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

__all__ = [
    "access_reason",
    "disk_full_reason",
    "follow_umask",
    "fsync",
    "fsync_tree",
    "is_locked",
    "lock",
    "plain_mode",
    "remedy",
]

_REFUSED = (errno.EACCES, errno.EPERM, errno.EROFS)
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


def access_reason(error: BaseException) -> str | None:
    """Which file this user may not use and what to do, where `error` or one of its causes says so; None otherwise."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, OSError) and seen.errno in _REFUSED and seen.filename is not None:
            file = os.fsdecode(seen.filename) if isinstance(seen.filename, (str, bytes)) else seen.filename
            return f"{file}: {os.strerror(seen.errno)}: {remedy(seen)}"
        seen = seen.__cause__ or seen.__context__
    return None


def remedy(error: OSError) -> str:
    """What to do about a file that cannot be read or written."""
    if error.errno == errno.EROFS:
        return "the file system is mounted read-only: write somewhere else, or mount it for writing"
    if error.errno == errno.ENOENT:
        return "check the path, and make the folders above it first"
    if error.errno in _REFUSED:
        return f"give user {os.geteuid()}, who runs this, access to it and to the folders above it (chmod, chown)"
    return "see that it is whole and its disk answers"


@contextmanager
def plain_mode(file: Path) -> Iterator[None]:
    """A library writes the file inside; then it gets the mode that the umask gives to new ones."""
    file.touch()
    mode = stat.S_IMODE(file.stat().st_mode)
    yield
    file.chmod(mode)


def follow_umask(path: Path, *, like: Path) -> None:
    """Give a file, or all files and folders below and with a folder, the modes that the umask gives to new ones.

    Some libraries (safetensors, tempfile) make files of mode 0600, and copies keep the mode of their source.
    like: a file that was made with plain `open`, which the umask, or an access list of its folder, has decided on. A
        process cannot ask for its umask without changing it for its other threads.
    """
    file_mode = stat.S_IMODE(like.stat().st_mode) & 0o666
    folder_mode = file_mode | (file_mode & 0o444) >> 2  # who may read a folder may go into it
    for found in [path, *(path.rglob("*") if path.is_dir() else ())]:
        if found.is_symlink():
            continue
        if found.is_dir():
            found.chmod(stat.S_IMODE(found.stat().st_mode) & ~0o777 | folder_mode)
        else:
            found.chmod(file_mode)


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
