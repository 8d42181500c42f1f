"""A bundle that is on the machine before a server needs it."""

from pathlib import Path

import pytest

from catalog.bundle.bundle import open_bundle
from catalog.bundle.fetch import main
from catalog.bundle.folder import publish
from catalog.bundle.store import BundleStore
from tests.catalog.bundle.test_bundle import fill, manifest


def test_it_waits_for_the_first_bundle_and_prints_where_its_copy_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = BundleStore(f"file://{tmp_path}/remote", tmp_path / "other")
    words = ["--bundles", store.url, "--bundle-cache", str(tmp_path / "cache")]
    assert main(words) == 2
    assert "has no active bundle" in capsys.readouterr().err

    def somebody_publishes(seconds: float) -> None:
        assert seconds > 0
        store.push(publish(tmp_path / "local", manifest(), fill))
        store.activate(manifest().version)

    assert main([*words, "--wait"], sleep=somebody_publishes) == 0
    printed = capsys.readouterr()
    assert open_bundle(Path(printed.out.strip())).version == manifest().version
    assert "no active bundle yet" in printed.err


def test_a_folder_is_not_fetched(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--bundles", str(tmp_path)])
    assert "is no address" in capsys.readouterr().err


def test_it_keeps_as_many_copies_as_it_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store, cache = BundleStore(f"file://{tmp_path}/remote", tmp_path / "other"), tmp_path / "cache"
    words = ["--bundles", store.url, "--bundle-cache", str(cache), "--bundle-copies"]
    for version in ("v1", "v2", "v3"):
        store.push(publish(tmp_path / "local", manifest(version), fill))
        store.activate(version)
        assert main([*words, "2"]) == 0
    assert {open_bundle(copy).version for copy in cache.iterdir()} == {"v2", "v3"}
    for wrong in ("0", "-1", "many", ""):
        assert main([*words, wrong]) == 2
        assert f"--bundle-copies (GEMSERVE_BUNDLE_COPIES) is {wrong!r}: give" in capsys.readouterr().err
