"""Where a run keeps what it has done so far, so that an interrupted one goes on instead of starting again.

    <out>/.training/<fingerprint>/
      catalog/      items in leaf order, codes, index, embedder, prompt.json: copied into the bundle as they are
      base/         the backbone with its item tokens, before tuning
      checkpoint/   weights, optimiser and random state of the last saved step
      training.jsonl   losses and gates of every step so far
      tuned/        the whole model after the last step, where it was trained in shards

A stage's folder appears by a rename when the stage is complete.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path

from catalog.bundle import sha256_of
from trainer.errors import TrainerError
from trainer.recipe import Recipe
from trainer.record import FILE_NAME


class Workspace:
    def __init__(self, root: Path) -> None:
        self.root = root

    @property
    def catalog(self) -> Path:
        return self.root / "catalog"

    @property
    def base(self) -> Path:
        return self.root / "base"

    @property
    def checkpoint(self) -> Path:
        return self.root / "checkpoint"

    @property
    def tuned(self) -> Path:
        return self.root / "tuned"

    @property
    def record(self) -> Path:
        return self.root / FILE_NAME

    def stage(self, directory: Path, fill: Callable[[Path], None]) -> None:
        """Makes a stage's folder with `fill`, unless it is there already."""
        if directory.exists():
            return
        draft = directory.with_name(f".{directory.name}-draft")
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(parents=True)
        fill(draft)
        draft.rename(directory)

    def remove(self) -> None:
        shutil.rmtree(self.root, ignore_errors=True)


def open_workspace(out: Path, recipe: Recipe, inputs: list[Path], *, resume: bool) -> Workspace:
    """The workspace of exactly this recipe and these input files; emptied first unless the run shall resume.

    Raises TrainerError naming an input file that does not exist.
    """
    for file in inputs:
        if not file.is_file():
            raise TrainerError(f"{file} does not exist: `python -m catalog.importers` writes items and events files")
    digest = hashlib.sha256(recipe.model_dump_json().encode())
    for file in inputs:
        digest.update(sha256_of(file).encode())
    workspace = Workspace(out / ".training" / digest.hexdigest()[:16])
    if not resume:
        workspace.remove()
    workspace.root.mkdir(parents=True, exist_ok=True)
    return workspace
