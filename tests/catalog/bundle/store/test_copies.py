"""Copies that are removed and copies that stay, with real files and processes."""

import errno
import logging
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from catalog.bundle.bundle import open_bundle
from catalog.bundle.source import bundle_source, copies_of
from catalog.bundle.store import BundleStore
from catalog.bundle.store.copies import Copies
from catalog.bundle.store.files import StoreFiles, StoreUnavailable
from catalog.errors import BundleError
from tests.catalog.bundle.store.test_bundles import published
from tests.support.killed import Killed
from tests.support.object_store import FolderStore, S3Store

VERSIONS = ["v1", "v2", "v3", "v4", "v5"]
USES = """
import sys
from pathlib import Path
from catalog.bundle.store import BundleStore
store = BundleStore(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]))
print(*[store.path(version).name for version in sys.argv[4:]], flush=True)
sys.stdin.read()
"""

User = subprocess.Popen[str]


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.fixture
def url(tmp_path: Path) -> str:
    """Of a store with all versions."""
    remote = FolderStore(tmp_path / "remote")
    fill(remote.url, tmp_path)
    return remote.url


@pytest.fixture
def elsewhere(url: str, cache: Path) -> Iterator[Callable[..., User]]:
    """Another process that uses copies of some versions, and makes them where there are none, until its input ends."""
    started: list[User] = []

    def start(*versions: str, copies: int = 5) -> User:
        command = [sys.executable, "-c", USES, url, str(cache), str(copies), *versions]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        started.append(process)
        assert process.stdout is not None
        assert len(process.stdout.readline().split()) == len(versions)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def fill(url: str, tmp_path: Path) -> None:
    store = BundleStore(url, tmp_path / "unused")
    for version in VERSIONS:
        store.push(published(tmp_path, version))


def made(url: str, cache: Path, *versions: str, copies: int = 5) -> None:
    """By a program that has ended, one after the other."""
    for version in versions:
        BundleStore(url, cache, copies).path(version)


def here(cache: Path) -> set[str]:
    """Versions of which there is a whole copy; there is nothing else."""
    return {open_bundle(copy).version for copy in cache.iterdir()}


def test_of_many_the_ones_that_were_used_last_stay(url: str, cache: Path) -> None:
    made(url, cache, "v1", "v2", "v3", copies=3)
    assert here(cache) == {"v1", "v2", "v3"}
    made(url, cache, "v1", "v4", copies=3)
    assert here(cache) == {"v1", "v3", "v4"}
    made(url, cache, "v3", "v4", copies=1)
    assert here(cache) == {"v1", "v3", "v4"}, "only when one is added"
    made(url, cache, "v5", copies=1)
    assert here(cache) == {"v5"}


def test_so_it_is_with_s3(s3_store: S3Store, tmp_path: Path, cache: Path) -> None:
    fill(s3_store.url, tmp_path)
    made(s3_store.url, cache, *VERSIONS, copies=2)
    assert here(cache) == {"v4", "v5"}


def test_what_this_process_uses_stays_until_it_says_otherwise(url: str, cache: Path) -> None:
    store = BundleStore(url, cache, 1)
    for version in ("v1", "v2", "v3"):
        store.path(version)
    assert here(cache) == {"v1", "v2", "v3"}
    store.use_only({"v1", "v3"})
    store.path("v4")
    assert here(cache) == {"v1", "v3", "v4"}
    store.use_only({"v4"})
    store.path("v5")
    assert here(cache) == {"v4", "v5"}


def test_a_copy_that_was_let_go_was_used_until_then(url: str, cache: Path) -> None:
    store = BundleStore(url, cache, 2)
    store.path("v1")
    made(url, cache, "v2", copies=2)
    store.use_only(())
    made(url, cache, "v3", copies=2)
    assert here(cache) == {"v1", "v3"}


def test_what_is_to_stay_stays_also_where_another_process_made_it(url: str, cache: Path) -> None:
    """As after a restart, what a fleet would roll back to."""
    made(url, cache, "v1", "v2")
    store = BundleStore(url, cache, 1)
    store.use_only({"v1", "never-seen"})
    store.path("v3")
    assert here(cache) == {"v1", "v3"}


def test_what_another_process_uses_stays_and_goes_with_it(
    url: str, cache: Path, elsewhere: Callable[..., User]
) -> None:
    user = elsewhere("v1", "v2")
    made(url, cache, "v3", "v4", copies=1)
    assert here(cache) == {"v1", "v2", "v4"}
    user.kill()
    user.wait()
    made(url, cache, "v5", copies=1)
    assert here(cache) == {"v5"}


def test_another_process_removes_what_this_one_has_let_go(
    url: str, cache: Path, elsewhere: Callable[..., User]
) -> None:
    store = BundleStore(url, cache)
    kept, _ = store.path("v1"), store.path("v2")
    store.use_only({"v1"})
    elsewhere("v3", copies=1)
    assert here(cache) == {"v1", "v3"}
    assert open_bundle(kept).version == "v1"


def test_a_forked_process_keeps_nothing_here(url: str, cache: Path) -> None:
    """As an engine that is forked from a server, whose former copies go while it lives."""
    store = BundleStore(url, cache, 1)
    store.path("v1")
    reads, writes = os.pipe()
    child = os.fork()
    if child == 0:  # pragma: no cover
        os.close(writes)
        os.read(reads, 1)
        os._exit(0)
    store.use_only(())
    store.path("v2")
    os.close(writes)
    os.waitpid(child, 0)
    os.close(reads)
    assert here(cache) == {"v2"}


def test_a_removal_that_is_cut_off_leaves_no_part_of_a_copy(
    url: str, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made(url, cache, "v1")

    def killed(folder: Path) -> None:
        (folder / "notes.txt").unlink()
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(shutil, "rmtree", killed)
        with pytest.raises(Killed):
            made(url, cache, "v2", copies=1)
    assert min(copy.name for copy in cache.iterdir()).startswith(".draft-")
    assert len(Copies(cache, 1).all()) == 1
    made(url, cache, "v1")
    assert here(cache) == {"v1", "v2"}, "with the part gone"


def test_a_disk_that_refuses_a_removal_is_logged_and_the_bundle_is_served(
    url: str, cache: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    made(url, cache, "v1")

    def refused(_: Path) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(shutil, "rmtree", refused)
    with caplog.at_level(logging.WARNING):
        copy = BundleStore(url, cache, 1).path("v2")
    assert open_bundle(copy).version == "v2"
    assert "was not removed: [Errno 5]" in caplog.text


def test_a_copy_that_somebody_deleted_is_downloaded_again(
    url: str, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = BundleStore(url, cache)
    copy = store.path("v1")
    shutil.rmtree(copy)
    assert open_bundle(store.path("v1")).path == copy
    (copy / "manifest.json").unlink()
    with pytest.raises(BundleError, match=r"has no manifest\.json: remove the folder, and try again"):
        store.path("v1")
    shutil.rmtree(copy)

    def away(*_: object) -> None:
        raise StoreUnavailable("nobody answers")

    monkeypatch.setattr(StoreFiles, "read", away)
    with pytest.raises(StoreUnavailable):
        store.path("v1")


def test_facts_are_no_use_of_a_copy(url: str, cache: Path) -> None:
    made(url, cache, "v1", "v2")
    store = BundleStore(url, cache, 1)
    assert store.facts("v1").manifest.version == "v1"
    store.path("v3")
    assert here(cache) == {"v3"}


@pytest.mark.parametrize("text", ["0", "-1", "", "many", "2.5", "²"])
def test_a_number_of_copies_that_is_none_is_refused(
    url: str, cache: Path, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(BundleError, match=r"--bundle-copies \(GEMSERVE_BUNDLE_COPIES\) is .*: give the number"):
        copies_of(text)
    monkeypatch.setenv("GEMSERVE_BUNDLE_COPIES", text)
    with pytest.raises(BundleError, match="from 1 on"):
        bundle_source(url, cache)


def test_every_program_keeps_as_many_as_the_environment_says(
    url: str, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert copies_of() == 5
    monkeypatch.setenv("GEMSERVE_BUNDLE_COPIES", "2")
    for version in VERSIONS:
        bundle_source(url, cache).path(version)
    assert here(cache) == {"v4", "v5"}
