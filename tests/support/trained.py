"""Bundles that the trainer made of the tiny shop: each is made once, for all tests and for the next run.

They are kept in pytest's cache, under a hash of all that makes them: the sources of `catalog` and `trainer`, the shop,
the versions of the libraries, the processor and its threads. So whatever changes a bundle makes it anew.
"""

import hashlib
import importlib.metadata
import json
import platform
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import torch
from filelock import FileLock

from catalog.bundle.bundle import Bundle, open_bundle
from catalog.bundle.folder import activate, current_bundle, published_versions
from catalog.errors import CatalogError
from loadtest.measure.machine import Machine
from tests.support import base_models, world
from tests.support.paths import ROOT
from trainer.config.recipe import load_recipe
from trainer.pipeline import run

__all__ = ["Trained"]

SOURCES = (
    "catalog/**/*.py",
    "trainer/**/*.py",
    "trainer/**/*.yaml",
    "tests/support/world.py",
    "tests/support/base_models.py",
)
LIBRARIES = ("torch", "transformers", "tokenizers", "numpy", "scipy", "scikit-learn", "safetensors", "pyarrow", "peft")
KEPT = 4
"""Number of versions of the sources whose bundles are kept."""
USED_SECONDS = 3600
"""No version is removed that was used so recently: another run may be at it."""


class Trained:
    """Bundles by the settings that they were trained with, on top of `world.TINY`.

    What is returned is a copy that belongs to this session: all its tests share it, so none may change it.
    """

    def __init__(self, kept: Path, copies: Path) -> None:
        self._kept = kept / version_of_sources()
        self._copies = copies
        self._folders: dict[str, Path] = {}
        self._kept.mkdir(parents=True, exist_ok=True)
        self._kept.touch()
        remove_old(kept)

    def files(self) -> tuple[Path, Path]:
        """The items and events that all are trained on."""
        folder = self._copies / "files"
        return world.write_world(folder) if not folder.exists() else world.files_in(folder)

    def folder(self, *recipes: tuple[str, ...], base: str | None = None) -> Path:
        """A folder of bundles of one catalog, one for the settings of each recipe, in this order; the first is current.

        base: the kind of base model to tune (`base_models.make_checkpoint`); None for a new one.
        """
        name = hashlib.sha256(json.dumps([recipes, base]).encode()).hexdigest()[:16]
        if name not in self._folders:
            with self._entry(name, lambda draft: self._train(draft, recipes, base), whole) as entry:
                self._folders[name] = Path(shutil.copytree(entry, self._copies / name, symlinks=True))
        return self._folders[name]

    def bundle(self, *settings: str, base: str | None = None) -> Bundle:
        """The bundle of one recipe."""
        return open_bundle(current_bundle(self.folder(settings, base=base)))

    def base(self, kind: str) -> Path:
        """The checkpoint of a random base model."""
        with self._entry(f"base-{kind}", lambda draft: base_models.make_checkpoint(kind, draft), Path.exists) as entry:
            return entry

    def _train(self, folder: Path, recipes: tuple[tuple[str, ...], ...], base: str | None) -> None:
        more = () if base is None else (f"backbone.path={self.base(base)}",)
        for settings in recipes:
            run(*self.files(), folder, load_recipe("small", [*world.TINY, *more, *settings]), resume=False)
        activate(folder, published_versions(folder)[0])

    @contextmanager
    def _entry(self, name: str, make: Callable[[Path], object], good: Callable[[Path], bool]) -> Iterator[Path]:
        """A kept folder, which is made first where it is not there or was damaged."""
        entry = self._kept / name
        with FileLock(self._kept / f"{name}.lock"):
            if not (entry.exists() and good(entry)):
                shutil.rmtree(entry, ignore_errors=True)
                with tempfile.TemporaryDirectory(dir=self._kept) as draft:
                    made = Path(draft) / "made"
                    made.mkdir()
                    make(made)
                    made.replace(entry)
            yield entry


def whole(folder: Path) -> bool:
    """Whether every bundle in it is what its manifest says."""
    try:
        return (
            bool([open_bundle(folder / name) for name in published_versions(folder)])
            and current_bundle(folder).exists()
        )
    except (CatalogError, OSError):
        return False


@cache
def version_of_sources() -> str:
    """A hash of all that decides what a training makes."""
    digest = hashlib.sha256()
    for file in sorted(file for pattern in SOURCES for file in ROOT.glob(pattern)):
        digest.update(file.relative_to(ROOT).as_posix().encode())
        digest.update(file.read_bytes())
    versions = [importlib.metadata.version(name) for name in LIBRARIES]
    machine = [sys.version, platform.machine(), Machine.here().cpu, torch.backends.cpu.get_cpu_capability()]
    digest.update(json.dumps([versions, machine, torch.get_num_threads()]).encode())
    return digest.hexdigest()[:16]


def remove_old(kept: Path) -> None:
    """Leaves the versions that were used last."""
    versions = sorted(kept.iterdir(), key=lambda folder: folder.stat().st_mtime, reverse=True)
    for folder in versions[KEPT:]:
        if folder.stat().st_mtime < time.time() - USED_SECONDS:
            shutil.rmtree(folder, ignore_errors=True)
