"""Folders that appear when they are whole: written under another name, locked meanwhile, and renamed. They go likewise.

A writing process holds a lock on its draft's manifest; a draft that is not locked was left by a process that died.
"""

from __future__ import annotations

import errno
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from catalog.bundle.disk import is_locked, lock
from catalog.bundle.manifest import MANIFEST
from catalog.errors import VersionTaken

__all__ = ["discard", "draft_folder", "remove_abandoned"]

_DRAFT = ".draft-"


@contextmanager
def draft_folder(folder: Path, name: str) -> Iterator[tuple[Path, IO[bytes]]]:
    """A draft directory and its manifest, open and locked. The block must rename the draft; it is removed on errors.

    Raises VersionTaken where another process writes a draft of this name.
    """
    hidden = folder / f".new-{uuid.uuid4().hex}"
    draft = folder / f"{_DRAFT}{name}"
    hidden.mkdir()
    at = hidden
    try:
        with (hidden / MANIFEST).open("wb") as stream:
            lock(stream)
            try:
                hidden.rename(draft)  # locked before, so that no draft is ever visible without a lock
            except OSError as error:
                if error.errno in (errno.ENOTEMPTY, errno.EEXIST):
                    raise VersionTaken(f"{draft} is being written by another process: wait for it") from None
                raise
            at = draft
            yield draft, stream
    except BaseException:
        shutil.rmtree(at, ignore_errors=True)
        raise


def remove_abandoned(folder: Path) -> None:
    """Remove drafts that nobody writes any more."""
    for draft in folder.glob(f"{_DRAFT}*"):
        if not is_locked(draft / MANIFEST):
            shutil.rmtree(draft, ignore_errors=True)


def discard(whole: Path) -> None:
    """Remove a whole folder, whose manifest is locked: under a draft's name first, so that nobody finds a part of it,
    and `remove_abandoned` completes what is cut off. Raises OSError."""
    draft = whole.with_name(f"{_DRAFT}{whole.name}-{uuid.uuid4().hex}")
    whole.rename(draft)
    shutil.rmtree(draft)
