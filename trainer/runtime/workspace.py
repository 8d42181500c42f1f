"""The workspace of a run: the results of its stages, with which an interrupted run continues.

    <out>/.training/<fingerprint>/
      catalog/      items in leaf order, codes, index, embedder, prompt.json: copied into the bundle as they are
      histories/    the items of histories that are prepared on disk (`prepared_split.py`)
      base/         the backbone with its item tokens, before tuning
      checkpoint/   weights, optimiser and random state of the last saved step
      training.jsonl   losses, gates, tokens and seconds of every step so far
      tuned/        the complete model after the last step, where training was sharded

A stage's folder appears by a rename when the stage is complete. A lock keeps a second run out.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from catalog.bundle.disk import disk_full_reason, fsync, fsync_tree, lock
from catalog.bundle.manifest import sha256_of
from trainer.config.recipe import Recipe
from trainer.core.errors import TrainerError
from trainer.runtime.step_log import FILE_NAME

LOCK = "lock"


class Workspace:
    """The folders and files of one run's workspace.

    root: the workspace's folder.
    digests: the SHA-256 of every input file when the run began.
    """

    def __init__(self, root: Path, digests: Mapping[Path, str]) -> None:
        self.root = root
        self.digests = digests

    @property
    def catalog(self) -> Path:
        return self.root / "catalog"

    @property
    def histories(self) -> Path:
        return self.root / "histories"

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
    def step_log(self) -> Path:
        return self.root / FILE_NAME

    def stage(self, directory: Path, fill: Callable[[Path], None]) -> None:
        """Makes the folder of a stage, unless it is there already.

        fill: called with an empty folder, to which it writes the stage's files. The folder is renamed when it is done,
            and removed if it fails.
        """
        if directory.exists():
            return
        draft = directory.with_name(f".{directory.name}-draft")
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(parents=True)
        try:
            fill(draft)
        except BaseException:
            shutil.rmtree(draft, ignore_errors=True)  # a full disk needs the space back
            raise
        fsync_tree(draft)
        draft.rename(directory)
        fsync(directory.parent)

    def check_inputs(self) -> None:
        """Raises TrainerError, naming the file, if an input file has changed since the run began.

        Call it after reading the files.
        """
        for file, digest in self.digests.items():
            if not file.is_file() or sha256_of(file) != digest:
                raise TrainerError(f"{file} was changed while it was read: wait until it is written, and start again")

    def remove(self) -> None:
        """Removes the workspace, after its run has ended."""
        shutil.rmtree(self.root, ignore_errors=True)


def workspaces_folder(out: Path) -> Path:
    """The folder of the workspaces of all runs into `out`, which is made. Raises TrainerError where it cannot be."""
    folder = out / ".training"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        if disk_full_reason(error) is not None:
            raise
        raise TrainerError(
            f"--out {out}: no folder can be made there ({error.strerror}): name one to write to"
        ) from error
    return folder


@contextmanager
def open_workspace(
    out: Path, recipe: Recipe, inputs: Sequence[Path], *, resume: bool, owner: bool = True
) -> Iterator[Workspace]:
    """A context with the workspace of exactly this recipe and these input files, locked while it is open.

    out: the folder of bundles.
    inputs: every file on which the result depends.
    resume: whether to keep what an earlier run has left; otherwise the workspace is emptied.
    owner: whether this rank takes the lock, for all that use its disk.

    Raises TrainerError, naming it, for an input file that does not exist; if no folder can be made in `out`; and if
    another run holds the lock.
    """
    for file in inputs:
        if not file.is_file():
            raise TrainerError(f"{file} does not exist: `gemserve import` writes items and events files")
    digests = {file: sha256_of(file) for file in inputs}
    digest = hashlib.sha256(recipe.model_dump_json().encode())
    for of_file in digests.values():
        digest.update(of_file.encode())
    workspace = Workspace(workspaces_folder(out) / digest.hexdigest()[:16], digests)
    if not owner:
        yield workspace
        return
    workspace.root.mkdir(exist_ok=True)
    with (workspace.root / LOCK).open("wb") as stream:
        if not lock(stream):
            raise TrainerError(
                f"another run of this recipe and data is at work in {workspace.root}: "
                "wait for it, or train with another --out or seed"
            )
        if not resume:
            _empty(workspace.root)
        yield workspace


def _empty(root: Path) -> None:
    for path in root.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        elif path.name != LOCK:
            path.unlink()
