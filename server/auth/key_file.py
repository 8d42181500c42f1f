"""The file of keys: JSON that several servers and `gemserve keys` share.

Writers take turns (flock on `<file>.lock`) and replace the file whole, so a reader needs no lock and never sees half of
one. Only its owner may read it (mode 0600).
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from pydantic import RootModel, ValidationError

from catalog.bundle.disk import remedy
from server.auth.api_key import Key
from server.core.errors import ServerError, StartupError

__all__ = ["EmptyKeyFile", "KeyFileError", "LastKey", "NoSuchKey", "add", "read", "revoke"]


class KeyFileError(StartupError):
    """A file of keys that cannot be read or written."""


class EmptyKeyFile(KeyFileError):
    """A file of keys in which nothing stands: it was emptied, or somebody is just writing it."""


class NoSuchKey(ServerError):
    """No key has this id."""


class LastKey(ServerError):
    """A key that must not be revoked, because of what would be left."""


class Keys(RootModel[list[Key]]):
    """The file's content."""


def read(path: Path) -> list[Key]:
    """The keys, in the order in which they were made. Raises KeyFileError, also where there is no file."""
    content = b""
    try:
        content = path.read_bytes()
        keys = Keys.model_validate_json(content).root
    except FileNotFoundError as error:
        hint = f"`gemserve keys create --file {path} --name NAME --scopes admin` makes it with its first key"
        raise KeyFileError(f"{path} does not exist: check the path, or {hint}") from error
    except OSError as error:
        raise KeyFileError(f"{path} cannot be read: {error.strerror}; {remedy(error)}") from error
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"]) or "the whole"
        kind = KeyFileError if content.strip() else EmptyKeyFile
        raise kind(f"{path} is no file of keys, at {place}: {first['msg']}; restore it or delete it") from error
    if len({key.id for key in keys}) < len(keys):
        raise KeyFileError(f"{path} has two keys of one id; leave one of them")
    return keys


def add(path: Path, key: Key, *, create: bool = True) -> None:
    """Adds a key, and makes the file where there is none and `create` allows it. Raises KeyFileError."""
    with _alone(path):
        first = create and not path.exists()
        _write(path, [key] if first else [*read(path), key])


def revoke(path: Path, key_id: str, *, keep_admin: bool) -> Key:
    """Takes a key away and returns it. Raises NoSuchKey, KeyFileError, and LastKey.

    The last key of all stays, because a server whose file holds none lets nobody in; with `keep_admin` so does the
    last one that administers for ever and without restrictions.
    """
    read(path)  # raises before a lock file is made beside a file that does not exist
    with _alone(path):
        keys = read(path)
        gone = next((key for key in keys if key.id == key_id), None)
        if gone is None:
            raise NoSuchKey(f"no key has the id {key_id[:100]!r}")
        left = [key for key in keys if key is not gone]
        if not left:
            raise LastKey(f"{key_id} is the last key, and without it nobody is let in: make its successor first")
        if keep_admin and _administers(gone) and not any(map(_administers, left)):
            raise LastKey(f"{key_id} is the last key of scope admin without restrictions: make its successor first")
        _write(path, left)
    return gone


def _administers(key: Key) -> bool:
    return key.allows("admin") and not key.is_restricted


@contextlib.contextmanager
def _alone(path: Path) -> Iterator[None]:
    lock = path.with_name(f"{path.name}.lock")
    try:
        handle = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise KeyFileError(f"{lock} cannot be written: {error.strerror}; {remedy(error)}") from error
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _write(path: Path, keys: list[Key]) -> None:
    try:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # mkstemp makes files of mode 0600
    except OSError as error:
        raise KeyFileError(f"{path} cannot be written: {error.strerror}; {remedy(error)}") from error
    fresh = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(Keys(keys).model_dump_json(indent=2).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path)
    except OSError as error:
        fresh.unlink(missing_ok=True)
        raise KeyFileError(f"{path} cannot be written: {error.strerror}; {remedy(error)}") from error
