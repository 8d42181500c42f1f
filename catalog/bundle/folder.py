"""A folder of bundles: publishing into it, the versions that it holds, and the one that is current.

A bundle is written as a draft under a temporary name, fsynced and renamed, so a reader sees a whole bundle or none.
`current` is a symlink to the active one. A draft that a dead process left is removed by the next one that publishes
(drafts.py).
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from pathlib import Path

from catalog.bundle.bundle import readable
from catalog.bundle.disk import follow_umask, fsync, fsync_tree
from catalog.bundle.drafts import draft_folder, remove_abandoned
from catalog.bundle.manifest import MANIFEST, Manifest, sha256_of
from catalog.errors import BundleError, VersionTaken

CURRENT = "current"
_POINT_CURRENT = "point it at one (ln -sfn VERSION current, in that folder)"


def current_bundle(bundles: Path) -> Path:
    """The directory that `current` points to. Raises BundleError if there is none, or it cannot be looked at."""
    with readable(bundles):
        return _target(bundles, bundles / CURRENT)


def _target(bundles: Path, link: Path) -> Path:
    if link.is_symlink() and not link.exists():
        raise BundleError(f"{link} points to {link.readlink()}, which does not exist: {_POINT_CURRENT}")
    if not link.exists():
        raise BundleError(f"{link} does not exist: publish a bundle first (gemserve train … --out {bundles})")
    target = link.resolve()
    if target.parent != bundles.resolve() or not link.is_symlink():
        raise BundleError(f"{link} must be a link to a bundle in {bundles}, and is {target}: {_POINT_CURRENT}")
    return target


def published_versions(bundles: Path) -> list[str]:
    """The versions of the bundles in a folder, sorted. Versions begin with their time."""
    return sorted(
        manifest.parent.name for manifest in bundles.glob(f"[!.]*/{MANIFEST}") if not manifest.parent.is_symlink()
    )


def publish(bundles: Path, manifest: Manifest, fill: Callable[[Path], None], *, make_current: bool = True) -> Path:
    """Publish a bundle and return its path. Whatever fails, no partial bundle is ever visible under `bundles`.

    manifest: without the files' SHA-256, which are computed here.
    fill: writes all other files into the directory that it is given.
    make_current: point `current` at the new bundle.
    Raises VersionTaken, before `fill` is called, if a bundle has this version or another process is publishing it.
    """
    bundles.mkdir(parents=True, exist_ok=True)
    remove_abandoned(bundles)
    final = bundles / manifest.version
    with draft_folder(bundles, manifest.version) as (draft, stream):
        if final.exists():  # checked here, where no other process can publish this version
            raise VersionTaken(f"{final} exists already and bundles are immutable: choose another name")
        fill(draft)
        paths = sorted(path for path in draft.rglob("*") if path.is_file())
        files = {str(file.relative_to(draft)): sha256_of(file) for file in paths if file != draft / MANIFEST}
        complete = manifest.model_copy(update={"files": files}).sealed()
        stream.write(complete.model_dump_json(indent=2).encode() + b"\n")
        stream.flush()
        follow_umask(draft, like=draft / MANIFEST)
        fsync_tree(draft)
        draft.rename(final)
    fsync(bundles)
    if make_current:
        activate(bundles, manifest.version)
    return final


def activate(bundles: Path, version: str) -> None:
    """Point `current` at a version, atomically. Raises BundleError if that is impossible."""
    if not (bundles / version / MANIFEST).is_file():
        raise BundleError(f"{bundles} has no bundle named {version}")
    link = bundles / f".{CURRENT}-{uuid.uuid4().hex}"
    try:
        link.symlink_to(version)
        link.replace(bundles / CURRENT)
        fsync(bundles)
    except OSError as error:
        raise BundleError(
            f"{bundles / CURRENT} cannot be pointed at {version} ({error.strerror}): see that the folder can be "
            "written and has space, then activate it again"
        ) from error
    finally:
        link.unlink(missing_ok=True)
