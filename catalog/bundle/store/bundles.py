"""The bundles of a store: which there are, which is active, and copies of those that are asked for."""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
import uuid
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from catalog.bundle.bundle import open_bundle
from catalog.bundle.disk import fsync, fsync_tree
from catalog.bundle.drafts import draft_folder, remove_abandoned
from catalog.bundle.folder import CURRENT
from catalog.bundle.manifest import MANIFEST, Manifest, parse_manifest, sha256_of
from catalog.bundle.report import FACTS, BundleFacts, read_facts
from catalog.bundle.store.copies import DEFAULT_COPIES, Copies
from catalog.bundle.store.files import StoredFile, StoreFiles, StoreUnavailable
from catalog.errors import BundleError, VersionTaken

__all__ = ["BundleStore", "Pointer", "StalePointer"]

POINTER = f"{CURRENT}.json"


class StalePointer(BundleError):
    """Somebody else has pointed `current.json` elsewhere meanwhile."""


@dataclass(frozen=True, slots=True)
class Pointer:
    """Which bundle is active. stored: `current.json` as it was read, which a write must find unchanged."""

    version: str
    stored: StoredFile


class BundleStore:
    """A BundleSource (`catalog/bundle/source.py`) of the bundles below one address.

    url: such as `s3://bucket/folder`; it is reached at the first use.
    cache: a folder for copies, which processes may share.
    copies: so many stay there, beside those that some process uses; whenever one is added, the others are removed.

    Every method raises BundleError where the store is away or what it has is damaged.
    """

    def __init__(self, url: str, cache: Path, copies: int = DEFAULT_COPIES) -> None:
        self._files = StoreFiles(url)
        self._cache = cache
        self._copies = Copies(cache, copies)

    @property
    def url(self) -> str:
        return self._files.url

    def versions(self) -> list[str]:
        """Of the published bundles, sorted. A folder of bundles, read as a store, has hidden drafts and a link."""
        paths = [PurePosixPath(name) for name in self._files.names()]
        found = (path.parts[0] for path in paths if len(path.parts) == 2 and path.name == MANIFEST)
        return sorted(version for version in found if not version.startswith(".") and version != CURRENT)

    def pointer(self) -> Pointer | None:
        """Which bundle is active; None where none has been yet."""
        stored = self._files.read(POINTER)
        if stored is None:
            return None
        try:
            return Pointer(str(json.loads(stored.content)["version"]), stored)
        except (ValueError, KeyError, TypeError) as error:
            where = f"{self.url}/{POINTER}"
            raise BundleError(f'{where} is damaged ({error!r}): write {{"version": "…"}} into it') from error

    def current(self) -> str:
        pointer = self.pointer()
        if pointer is None:
            raise BundleError(f"{self.url} has no active bundle: publish one (gemserve train … --out {self.url})")
        return pointer.version

    def activate(self, version: str) -> None:
        """Point `current.json` at a version, unless it does already. Raises StalePointer."""
        before = self.pointer()
        if before is None or before.version != version:
            self.move_pointer(version, before)

    def move_pointer(self, version: str, before: Pointer | None) -> None:
        """Point `current.json` at a version.

        before: what it was when the caller looked; None where there was none.
        Raises StalePointer where it is neither that any more nor points at this version, and BundleError where there is
        no such bundle.
        """
        self._manifest(version)
        content = json.dumps({"version": version}).encode()
        if self._files.replace(POINTER, content, None if before is None else before.stored):
            return
        now = self.pointer()
        if now is None or now.version != version:
            what = "is gone" if now is None else f"points to {now.version} by now"
            raise StalePointer(f"{self.url}/{POINTER} {what}, which is not what it was: look, and activate again")

    def path(self, version: str) -> Path:
        """A whole copy of a bundle, which is downloaded where there is none yet.

        While the store is away, the one copy that says it has this version. It stays for as long as this object lives,
        or until `use_only` leaves it out.
        """
        try:
            text, manifest = self._manifest(version)
        except StoreUnavailable:
            names = self._copies.of_version(version)
            copy = self._copies.use(names[0]) if len(names) == 1 else None
            if copy is None:
                raise
            return copy
        name = _name_of_copy(text, manifest)
        copy = self._copies.use(name)
        if copy is None:
            self._make_copy(name, text, manifest)
            copy = self._copies.use(name)
            if copy is None:
                raise BundleError(f"{self._cache / name} has no {MANIFEST}: remove the folder, and try again")
            self._copies.remove_oldest()
        return copy

    def use_only(self, versions: Collection[str]) -> None:
        """Have the copies of these versions stay, if there are any, and no others for this process's sake."""
        self._copies.use_only(versions)

    def facts(self, version: str) -> BundleFacts:
        """What a bundle says of itself, for which its model is not downloaded."""
        text, manifest = self._manifest(version)
        with self._copies.look_at(_name_of_copy(text, manifest)) as copy:
            if copy is not None:
                return read_facts(copy)
        with tempfile.TemporaryDirectory(prefix="gemserve-facts-") as folder:
            (Path(folder) / MANIFEST).write_bytes(text)
            self._download(manifest, [name for name in FACTS if name in manifest.files], Path(folder))
            return read_facts(Path(folder))

    def push(self, bundle: Path) -> None:
        """Upload a bundle, its manifest last. Raises VersionTaken where the store has one of this version."""
        opened = open_bundle(bundle)
        if self._files.exists(f"{opened.version}/{MANIFEST}"):
            raise VersionTaken(f"{self.url}/{opened.version} exists already, and bundles are immutable")
        for name in (*opened.manifest.files, MANIFEST):
            self._files.upload(opened.path / name, f"{opened.version}/{name}")

    def _manifest(self, version: str) -> tuple[bytes, Manifest]:
        """As the store has it, and read."""
        if version in ("", ".", "..", CURRENT) or "/" in version:
            raise BundleError(f"{version!r} is no version of a bundle")
        stored = self._files.read(f"{version}/{MANIFEST}")
        if stored is None:
            raise BundleError(f"{self.url} has no bundle named {version}")
        manifest = parse_manifest(stored.content, f"{self.url}/{version}/{MANIFEST}", verify=True)
        if manifest.version != version:
            raise BundleError(f"{self.url}/{version} says that it is {manifest.version}: publish it again")
        return stored.content, manifest

    def _make_copy(self, name: str, text: bytes, manifest: Manifest) -> None:
        copy = self._cache / name
        self._cache.mkdir(parents=True, exist_ok=True)
        remove_abandoned(self._cache)
        with draft_folder(self._cache, f"{name}-{uuid.uuid4().hex}") as (draft, stream):
            stream.write(text)
            stream.flush()
            self._download(manifest, manifest.files, draft)
            fsync_tree(draft)
            try:
                draft.rename(copy)
            except OSError:
                if not copy.is_dir():  # else another process was faster
                    raise
                shutil.rmtree(draft)
        fsync(self._cache)

    def _download(self, manifest: Manifest, names: Iterable[str], folder: Path) -> None:
        """Some files of a bundle. Raises BundleError for the first that is not as the manifest says."""
        for name in names:
            path, where = PurePosixPath(name), f"{self.url}/{manifest.version}/{name}"
            if path.is_absolute() or ".." in path.parts:
                raise BundleError(f"{self.url}/{manifest.version} names a file outside of it: {name!r}")
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            if not self._files.download(f"{manifest.version}/{name}", target):
                raise BundleError(f"{where} is missing: the bundle is incomplete; publish it again")
            if sha256_of(target) != manifest.files[name]:
                raise BundleError(
                    f"{where} does not match its SHA-256 in the manifest: it was cut off or is damaged; try again, and "
                    "publish the bundle again if that does not help"
                )


def _name_of_copy(text: bytes, manifest: Manifest) -> str:
    return manifest.seal or hashlib.sha256(text).hexdigest()
