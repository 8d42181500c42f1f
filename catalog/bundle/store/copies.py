"""Copies of bundles in a folder of this machine, which processes share, and of which the oldest are removed.

Whoever uses a copy holds a shared lock on its manifest, and whoever removes one an exclusive lock: so a copy that any
process uses stays, and one that died holds nothing. What was used last is the time of the copy's folder.
"""

from __future__ import annotations

import fcntl
import logging
import os
import threading
import weakref
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from catalog.bundle.disk import lock, remedy
from catalog.bundle.drafts import discard
from catalog.bundle.manifest import MANIFEST, read_manifest
from catalog.errors import BundleError

__all__ = ["DEFAULT_COPIES", "Copies"]

DEFAULT_COPIES = 5

log = logging.getLogger(__name__)


class Copies:
    """The copies in one folder, those that this process uses among them. Its methods are for any thread.

    A copy stays for as long as this object lives, or until `use_only` leaves it out.
    """

    def __init__(self, folder: Path, most: int) -> None:
        """most: so many are kept, beside those that some process uses."""
        self._folder, self._most = folder, most
        self._used: dict[Path, int] = {}
        self._guard = threading.RLock()
        weakref.finalize(self, _release_all, self._used).atexit = False  # a forked process must not at its end

    def use(self, name: str) -> Path | None:
        """A copy, which stays from now on; None where there is none. Raises BundleError where it cannot be read."""
        copy = self._folder / name
        try:
            if not self._hold(copy):
                return None
        except OSError as error:
            raise BundleError(f"{copy / MANIFEST} cannot be read ({error.strerror}): {remedy(error)}") from error
        _note_use(copy)
        return copy

    def use_only(self, versions: Collection[str]) -> None:
        """Have the copies of these versions stay, and no others."""
        wanted = {copy for copy in self.all() if _version_of(copy) in versions}
        with self._guard:
            for copy in self._used.keys() - wanted:
                _note_use(copy)  # until now
                _release(self._used.pop(copy))
            for copy in wanted:
                with suppress(OSError):  # whoever opens it is told
                    self._hold(copy)

    @contextmanager
    def look_at(self, name: str) -> Iterator[Path | None]:
        """A copy, which stays until the block ends; None where there is none."""
        copy = self._folder / name
        held = _shared_lock(copy)
        try:
            yield None if held is None else copy
        finally:
            if held is not None:
                _release(held)

    def of_version(self, version: str) -> list[str]:
        """The names of the copies that say that they are of a version."""
        return [copy.name for copy in self.all() if _version_of(copy) == version]

    def all(self) -> list[Path]:
        return [manifest.parent for manifest in self._folder.glob(f"[!.]*/{MANIFEST}")]

    def remove_oldest(self) -> None:
        """Remove those that were used least recently, and that nobody uses. What the disk refuses is logged."""
        for copy in sorted(self.all(), key=_last_use, reverse=True)[self._most :]:
            try:
                _remove_unused(copy)
            except FileNotFoundError:
                pass  # another process was faster
            except OSError as error:
                log.warning("the copy of a bundle %s was not removed: %s", copy, error)

    def _hold(self, copy: Path) -> bool:
        with self._guard:
            if copy in self._used and not _is_open_at(self._used[copy], copy / MANIFEST):
                _release(self._used.pop(copy))  # somebody has removed it by hand
            if copy not in self._used and (held := _shared_lock(copy)) is not None:
                self._used[copy] = held
            return copy in self._used


def _shared_lock(copy: Path) -> int | None:
    """A descriptor with a lock on a copy; None where there is no copy."""
    manifest = copy / MANIFEST
    while True:
        try:
            descriptor = os.open(manifest, os.O_RDONLY)
        except (FileNotFoundError, NotADirectoryError):
            return None
        with suppress(OSError):  # where files cannot be locked nobody removes copies either
            fcntl.flock(descriptor, fcntl.LOCK_SH)  # waits for a moment where it is just being removed, or made
        if _is_open_at(descriptor, manifest):
            return descriptor
        os.close(descriptor)


def _is_open_at(descriptor: int, file: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), file.stat())
    except OSError:
        return False


def _release(descriptor: int) -> None:
    with suppress(OSError):
        fcntl.flock(descriptor, fcntl.LOCK_UN)  # also for processes that were forked meanwhile
    os.close(descriptor)


def _release_all(used: dict[Path, int]) -> None:
    while used:
        _release(used.popitem()[1])


def _remove_unused(copy: Path) -> None:
    manifest = copy / MANIFEST
    with manifest.open("r+b") as stream:
        if lock(stream) and _is_open_at(stream.fileno(), manifest):
            discard(copy)


def _version_of(copy: Path) -> str | None:
    try:
        return read_manifest(copy / MANIFEST, verify=True).version
    except BundleError:
        return None


def _last_use(copy: Path) -> float:
    try:
        return copy.stat().st_mtime
    except OSError:
        return 0.0


def _note_use(copy: Path) -> None:
    with suppress(OSError):  # of somebody else, or on a disk that cannot be written
        os.utime(copy)
