"""Where bundles are found and which is active: a folder, or a store from which copies come into one."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Protocol

from catalog.bundle.folder import activate, current_bundle, published_versions
from catalog.bundle.report import BundleFacts, read_facts
from catalog.bundle.store import DEFAULT_COPIES, BundleStore, is_url
from catalog.errors import BundleError

__all__ = [
    "BundleFolder",
    "BundleSource",
    "bundle_source",
    "copies_of",
    "default_cache",
    "folder_or_url",
    "working_folder",
]

COPIES = "GEMSERVE_BUNDLE_COPIES"


class BundleSource(Protocol):
    """Every method may take long, so it is for threads, and raises BundleError."""

    def versions(self) -> list[str]:
        """The versions of the published bundles, sorted: they begin with their time."""

    def current(self) -> str:
        """The version of the active one."""

    def path(self, version: str) -> Path:
        """The directory of a bundle, on a disk of this machine."""

    def facts(self, version: str) -> BundleFacts:
        """What a bundle says of itself."""

    def activate(self, version: str) -> None:
        """Make a version the active one."""


class BundleFolder:
    """A folder with a bundle in each of its folders, and a link `current`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def versions(self) -> list[str]:
        return published_versions(self._folder)

    def current(self) -> str:
        return current_bundle(self._folder).name

    def path(self, version: str) -> Path:
        return self._folder / version

    def facts(self, version: str) -> BundleFacts:
        return read_facts(self._folder / version)

    def activate(self, version: str) -> None:
        activate(self._folder, version)


def folder_or_url(named: str) -> Path | str:
    """What was named as a path, or the address of a store as it is: a path would take a slash of it."""
    return named if is_url(named) else Path(named)


def bundle_source(where: Path | str, cache: Path | None = None, copies: int | None = None) -> BundleSource:
    """where: as of `folder_or_url`. cache, copies: for the copies of a store's bundles, and how many of them stay
    there; None for `default_cache` and `copies_of`. Raises BundleError."""
    if isinstance(where, Path):
        return BundleFolder(where)
    return BundleStore(where, cache or default_cache(), copies_of() if copies is None else copies)


def default_cache() -> Path:
    """The user's own folder for what can be fetched again."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "gemserve" / "bundles"


def copies_of(given: str | None = None) -> int:
    """How many copies stay beside those in use: as was given, or else as a server in this environment has it.

    Raises BundleError for what is no number of them.
    """
    text = os.environ.get(COPIES, str(DEFAULT_COPIES)) if given is None else given
    if not (text.isascii() and text.isdigit() and int(text) > 0):
        raise BundleError(f"--bundle-copies ({COPIES}) is {text!r}: give the number of copies to keep, from 1 on")
    return int(text)


def working_folder(where: Path | str) -> Path:
    """Where this machine makes bundles: the folder itself, or one that stands for a store."""
    if isinstance(where, Path):
        return where
    return default_cache().parent / "training" / hashlib.sha256(where.rstrip("/").encode()).hexdigest()[:16]
