"""The keys as a running server knows them: its file's, looked at again when it has changed."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import structlog

from server.auth import key_file
from server.auth.api_key import Key, split
from server.auth.key_file import KeyFileError

__all__ = ["Keyring"]

LOOK_SECONDS = 1.0

log = structlog.get_logger(__name__)

Stamp = tuple[int, int, int] | None


class Keyring:
    """Keys by id. Without a file there are none.

    A file that is damaged or gone after it was read costs nothing: the keys known last stay, because a server that lost
    its keys would be open. Raises KeyFileError for one that is damaged at the start.
    """

    def __init__(self, path: Path | None, clock: Callable[[], float] = time.monotonic) -> None:
        self.path = path
        self._clock = clock
        self._keys: dict[str, Key] = {}
        self._stamp: Stamp = None
        if path is not None:
            self._stamp, self._keys = _stamp(path), _by_id(path)
        self._looked = clock()

    def keys(self) -> dict[str, Key]:
        """By id, at most a second old."""
        if self.path is not None and self._clock() - self._looked >= LOOK_SECONDS:
            self.look()
        return self._keys

    def look(self) -> None:
        """Takes over what has changed in the file."""
        if self.path is None:
            return
        self._looked = self._clock()
        stamp = _stamp(self.path)
        if stamp == self._stamp:
            return
        self._stamp = stamp
        if stamp is None:
            log.error("keys_file_gone", path=str(self.path), kept=len(self._keys))
            return
        try:
            self._keys = _by_id(self.path)
        except KeyFileError as error:
            log.error("keys_file_damaged", reason=str(error), kept=len(self._keys))
            return
        log.info("keys_read", keys=len(self._keys))

    def find(self, text: str) -> Key | None:
        """The key whose text this is."""
        parts = split(text)
        key = self.keys().get(parts[0]) if parts else None
        return key if key is not None and parts is not None and key.fits(parts[1]) else None


def _stamp(path: Path) -> Stamp:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_ino, status.st_mtime_ns, status.st_size


def _by_id(path: Path) -> dict[str, Key]:
    return {key.id: key for key in key_file.read(path)}
