"""Bundles in object stores: S3 by a real HTTP server on this machine, and folders, whose bytes are as easily cut."""

import json
import os
import threading
from pathlib import Path

import pytest

from catalog.bundle.bundle import open_bundle
from catalog.bundle.folder import publish
from catalog.bundle.report import read_facts
from catalog.bundle.source import bundle_source
from catalog.bundle.store import BundleStore, StalePointer
from catalog.bundle.store.files import StoreFiles, StoreUnavailable
from catalog.errors import BundleError, VersionTaken
from tests.catalog.bundle.test_bundle import fill, manifest
from tests.support.object_store import FolderStore, ObjectStore
from tests.support.small_shop import make_manifest, publish_report


@pytest.fixture(params=["file", "s3"])
def remote(request: pytest.FixtureRequest, tmp_path: Path) -> ObjectStore:
    found: ObjectStore = (
        FolderStore(tmp_path / "remote") if request.param == "file" else request.getfixturevalue("s3_store")
    )
    return found


@pytest.fixture
def store(remote: ObjectStore, tmp_path: Path) -> BundleStore:
    return BundleStore(remote.url, tmp_path / "cache")


def published(tmp_path: Path, version: str = "v1") -> Path:
    return publish(tmp_path / "local", manifest(version), fill)


def test_what_is_pushed_is_downloaded_once_under_its_seal(
    store: BundleStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = published(tmp_path)
    assert (store.versions(), store.pointer()) == ([], None)
    with pytest.raises(BundleError, match="has no active bundle: publish one"):
        store.current()
    store.push(own)
    with pytest.raises(VersionTaken, match="immutable"):
        store.push(own)
    assert store.versions() == ["v1"]
    copy = bundle_source(f"{store.url}/", tmp_path / "cache").path("v1")
    bundle = open_bundle(copy)
    assert copy == tmp_path / "cache" / str(bundle.manifest.seal)
    assert bundle.manifest == open_bundle(own).manifest
    assert (copy / "notes.txt").read_bytes() == (own / "notes.txt").read_bytes()
    monkeypatch.setattr(StoreFiles, "download", lambda *_: pytest.fail("it is there"))
    assert store.path("v1") == copy
    assert os.listdir(tmp_path / "cache") == [copy.name]  # noqa: PTH208


def test_a_pointer_that_was_moved_meanwhile_is_left_alone(
    remote: ObjectStore, store: BundleStore, tmp_path: Path
) -> None:
    other = BundleStore(remote.url, tmp_path / "other")
    for version in ("v1", "v2"):
        store.push(published(tmp_path, version))
    store.move_pointer("v1", None)
    assert json.loads(remote.read("current.json")) == {"version": "v1"}
    first = other.pointer()
    with pytest.raises(StalePointer, match="points to v1 by now"):
        other.move_pointer("v2", None)
    other.move_pointer("v2", first)
    with pytest.raises(StalePointer, match="points to v2 by now"):
        store.move_pointer("v1", first)
    store.move_pointer("v2", first)  # which is what the caller wanted
    assert store.current() == "v2"
    with pytest.raises(BundleError, match="no bundle named v3"):
        store.activate("v3")
    store.activate("v1")
    assert other.current() == "v1"


def test_of_two_who_have_looked_before_either_wrote_the_store_takes_one(remote: ObjectStore, tmp_path: Path) -> None:
    files = StoreFiles(remote.url)
    assert files.replace("current.json", b"first", None)
    before = files.read("current.json")
    assert files.replace("current.json", b"second", before)
    for stale in (None, before):
        assert not files.replace("current.json", b"third", stale)
    assert remote.read("current.json") == b"second"
    before = files.read("current.json")
    remote.remove("current.json")
    assert not files.replace("current.json", b"third", before)
    assert files.read("current.json") is None


@pytest.mark.parametrize(
    ("remote", "damage"),
    [("s3", "cut"), *(("file", damage) for damage in ("cut", "missing", "manifest", "escape", "name"))],
    indirect=["remote"],
)
def test_what_does_not_come_whole_is_never_a_copy(
    remote: ObjectStore, store: BundleStore, tmp_path: Path, damage: str
) -> None:
    store.push(published(tmp_path))
    if damage == "cut":
        remote.write("v1/notes.txt", b"\0\1")
    elif damage == "missing":
        remote.remove("v1/notes.txt")
    elif damage == "manifest":
        text = remote.read("v1/manifest.json")
        remote.write("v1/manifest.json", text[: len(text) // 2])
    else:
        own = manifest("v1" if damage == "escape" else "v7")
        sealed = own.model_copy(update={"files": {"../../escaped.txt": "0" * 64}}).sealed()
        remote.write("v1/manifest.json", sealed.model_dump_json().encode())
    with pytest.raises(BundleError) as error:
        store.path("v1")
    said = {
        "cut": "v1/notes.txt does not match its SHA-256",
        "missing": "v1/notes.txt is missing: the bundle is incomplete",
        "manifest": "v1/manifest.json is not valid JSON",
        "escape": "names a file outside of it",
        "name": "says that it is v7",
    }
    assert said[damage] in str(error.value)
    assert not list((tmp_path / "cache").glob("*"))
    assert not (tmp_path / "escaped.txt").exists()


@pytest.mark.parametrize("remote", ["file"], indirect=True)
def test_a_bundle_is_none_before_its_manifest_is_there(
    store: BundleStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own, upload = published(tmp_path), StoreFiles.upload

    def fails(files: StoreFiles, file: Path, name: str) -> None:
        if name.endswith("manifest.json"):
            raise StoreUnavailable("the line is cut")
        upload(files, file, name)

    with monkeypatch.context() as patch:
        patch.setattr(StoreFiles, "upload", fails)
        with pytest.raises(StoreUnavailable):
            store.push(own)
    assert store.versions() == []
    with pytest.raises(BundleError, match="no bundle named v1"):
        store.path("v1")
    store.push(own)
    assert store.versions() == ["v1"]


@pytest.mark.parametrize("remote", ["file"], indirect=True)
def test_what_a_bundle_says_of_itself_comes_without_its_model(store: BundleStore, tmp_path: Path) -> None:
    def whole(draft: Path) -> None:
        publish_report(draft)
        (draft / "model.safetensors").write_bytes(b"large")

    own = publish(tmp_path / "local", make_manifest().model_copy(update={"version": "v1"}), whole)
    store.push(own)
    facts = store.facts("v1")
    assert facts == read_facts(own)
    assert facts.golden is not None
    assert not (tmp_path / "cache").exists()
    store.path("v1")
    assert store.facts("v1") == facts


def test_a_copy_serves_while_the_store_is_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    remote = FolderStore(tmp_path / "remote")
    store = BundleStore(remote.url, tmp_path / "cache")
    for version in ("v1", "v2"):
        store.push(published(tmp_path, version))
    copy = store.path("v1")

    def away(*_: object) -> None:
        raise StoreUnavailable("nobody answers")

    monkeypatch.setattr(StoreFiles, "read", away)
    assert store.path("v1") == copy
    with pytest.raises(StoreUnavailable):
        store.path("v2")


def test_two_who_download_at_the_same_time_share_the_copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    remote, both = FolderStore(tmp_path / "remote"), threading.Barrier(2)
    stores = [BundleStore(remote.url, tmp_path / "cache") for _ in range(2)]
    stores[0].push(published(tmp_path))
    (tmp_path / "cache" / ".draft-of-a-process-that-died").mkdir(parents=True)
    download, had = StoreFiles.download, []

    def together(files: StoreFiles, name: str, to: Path) -> bool:
        both.wait(60)
        return download(files, name, to)

    monkeypatch.setattr(StoreFiles, "download", together)
    threads = [threading.Thread(target=lambda store=store: had.append(store.path("v1"))) for store in stores]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(had) == 2
    assert list((tmp_path / "cache").iterdir()) == [had[0]] == [had[1]]
    assert open_bundle(had[0]).version == "v1"


def test_a_folder_that_the_trainer_publishes_to_is_a_store_too(tmp_path: Path) -> None:
    published(tmp_path)
    store = BundleStore(f"file://{tmp_path}/local", tmp_path / "cache")
    assert store.versions() == ["v1"]
    store.activate("v1")
    assert open_bundle(store.path(store.current())).version == "v1"


@pytest.mark.parametrize("text", ["{", "[]", '{"versio": "v1"}', "null"])
def test_a_damaged_pointer_is_said(tmp_path: Path, text: str) -> None:
    (tmp_path / "current.json").write_text(text)
    with pytest.raises(BundleError, match="is damaged"):
        BundleStore(f"file://{tmp_path}", tmp_path / "cache").current()
