"""Where a run's bundle goes: into a folder, or by way of a folder of this machine into a store."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from catalog.bundle.manifest import MANIFEST
from catalog.bundle.source import copies_of, default_cache, folder_or_url, working_folder
from catalog.bundle.store import BundleStore, Pointer
from catalog.errors import BundleError
from trainer.core.progress import print_line

__all__ = ["Destination"]


@dataclass(frozen=True, slots=True)
class Destination:
    """folder: in which the run works and publishes.
    store: that gets the bundle then; None where it stays in the folder.
    before: which bundle of the store was active when the run began.
    """

    folder: Path
    store: BundleStore | None = None
    before: Pointer | None = None

    @classmethod
    def of(cls, named: str) -> Destination:
        """named: a folder, or a store's address, for which there is a folder of its own in the user's cache.

        Raises BundleError where the store cannot be reached, which is better known before training.
        """
        where = folder_or_url(named)
        if isinstance(where, Path):
            return cls(where)
        store = BundleStore(where, default_cache(), copies_of())
        return cls(working_folder(where), store, store.pointer())

    def start(self, named: str) -> str:
        """What a warm start begins with: for `current` of a store, a copy of that bundle. Raises BundleError."""
        if self.store is None or named != "current":
            return named
        return str(self.store.path(self.store.current()))

    def deliver(self, result: Path, *, make_current: bool) -> str:
        """Have the store take a run's result, and return where it is; reports of a run without a bundle stay.

        make_current: whether `current` of the store is to point to it, as the run itself does in a folder.
        Raises BundleError; then the bundle is in the folder, or in the store where only the pointer was refused.
        """
        if self.store is None or not (result / MANIFEST).is_file():
            return str(result)
        delivered = f"{self.store.url}/{result.name}"
        print_line(f"copying {result} to {delivered}")
        try:
            self.store.push(result)
        except BundleError as error:
            raise BundleError(f"{error}; the bundle is in {result}") from error
        shutil.rmtree(result)
        if make_current:
            try:
                self.store.move_pointer(result.name, self.before)
            except BundleError as error:
                raise BundleError(f"{delivered} is published and not active: {error}") from error
        return delivered
