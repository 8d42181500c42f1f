"""The keys as a running server knows them: those of its file, which is read again when it has changed."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import structlog

from server.auth import key_file
from server.auth.api_key import Key, split
from server.auth.key_file import EmptyKeyFile, KeyFileError

__all__ = ["Keyring"]

REFRESH_SECONDS = 1.0

log = structlog.get_logger(__name__)

Stamp = tuple[int, int, int] | None


class Keyring:
    """Keys by id; none, and no `path`, where the server has no file of keys.

    At the start a file that is missing, damaged or without a key raises KeyFileError. Later such a file opens nothing:
    while it is missing or damaged the keys known last stay, and where it holds no key nobody has one. That holds for a
    file of no bytes too, once it has been seen so for a second: before, somebody may just be writing it.
    """

    def __init__(self, path: Path | None, clock: Callable[[], float] = time.monotonic) -> None:
        self.path = path
        self._clock = clock
        self._keys: dict[str, Key] = {}
        self._stamp: Stamp = None
        self._empty_since: float | None = None
        if path is not None:
            self._stamp, self._keys = _stamp(path), _by_id(path)
            if not self._keys:
                raise KeyFileError(
                    f"{path} holds no key, so nobody could use the server: make one with"
                    f" `gemserve keys create --file {path} --name NAME --scopes admin`"
                )
        self._refreshed_at = clock()

    def keys(self) -> dict[str, Key]:
        """By id, at most a second old."""
        if self.path is not None and self._clock() - self._refreshed_at >= REFRESH_SECONDS:
            self.refresh()
        return self._keys

    def refresh(self) -> None:
        """Takes over what has changed in the file."""
        if self.path is None:
            return
        self._refreshed_at = self._clock()
        stamp = _stamp(self.path)
        if stamp == self._stamp and self._empty_since is None:
            return
        empty_since, self._empty_since, self._stamp = self._empty_since, None, stamp
        if stamp is None:
            log.error("keys_file_gone", path=str(self.path), kept=len(self._keys))
            return
        try:
            self._keys = _by_id(self.path)
        except EmptyKeyFile:
            if empty_since is None or self._clock() - empty_since < REFRESH_SECONDS:
                self._empty_since = self._clock() if empty_since is None else empty_since
                return
            self._keys = {}
        except KeyFileError as error:
            log.error("keys_file_damaged", reason=str(error), kept=len(self._keys))
            return
        if self._keys:
            log.info("keys_read", keys=len(self._keys))
        else:
            log.error("keys_file_empty", path=str(self.path))

    def find(self, text: str) -> Key | None:
        """The key whose text this is."""
        parts = split(text)
        key = self.keys().get(parts[0]) if parts else None
        return key if key is not None and parts is not None and key.fits(parts[1]) else None


def _stamp(path: Path) -> Stamp:
    """What tells one content of the file from another; None where there is no file."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_ino, status.st_mtime_ns, status.st_size


def _by_id(path: Path) -> dict[str, Key]:
    return {key.id: key for key in key_file.read(path)}
