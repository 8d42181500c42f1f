"""Where a run's bundle goes: a folder, or a store by way of one."""

from pathlib import Path

import pytest

from catalog.bundle.bundle import open_bundle
from catalog.bundle.folder import publish
from catalog.bundle.store import BundleStore
from catalog.errors import BundleError
from tests.catalog.bundle.test_bundle import fill, manifest
from tests.support.object_store import S3Store
from trainer.runtime.destination import Destination


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def test_a_folder_is_itself(tmp_path: Path) -> None:
    out = Destination.of(str(tmp_path / "bundles"))
    assert out == Destination(tmp_path / "bundles")
    assert out.start("current") == "current"
    path = publish(out.folder, manifest(), fill)
    assert out.deliver(path, make_current=True) == str(path)
    assert path.is_dir()


def test_a_store_gets_the_bundle_and_a_warm_start_its_current_one(tmp_path: Path) -> None:
    url = f"file://{tmp_path}/remote"
    store = BundleStore(url, tmp_path / "other")
    with pytest.raises(BundleError, match="no active bundle"):
        Destination.of(url).start("current")
    for version, active in (("v1", "v1"), ("v2", "v1")):
        out = Destination.of(f"{url}/")
        path = publish(out.folder, manifest(version), fill, make_current=False)
        assert out.deliver(path, make_current=version == "v1") == f"{url}/{version}"
        assert not path.exists()
        assert store.current() == active
    assert store.versions() == ["v1", "v2"]
    assert open_bundle(Path(out.start("current"))).version == "v1"
    assert out.start("bundles/v2") == "bundles/v2"


def test_of_two_runs_at_the_same_time_the_later_one_is_published_and_not_active(s3_store: S3Store) -> None:
    first, second = Destination.of(s3_store.url), Destination.of(s3_store.url)
    for out, version in ((first, "v1"), (second, "v2")):
        path = publish(out.folder, manifest(version), fill, make_current=False)
        if out is first:
            out.deliver(path, make_current=True)
            continue
        with pytest.raises(BundleError, match=r"v2 is published and not active: .* points to v1 by now"):
            out.deliver(path, make_current=True)
    assert second.store is not None
    assert (second.store.current(), second.store.versions()) == ("v1", ["v1", "v2"])


def test_what_the_store_does_not_take_stays(tmp_path: Path) -> None:
    out = Destination.of(f"file://{tmp_path}/remote")
    path = publish(out.folder, manifest(), fill)
    out.deliver(path, make_current=False)
    path = publish(out.folder, manifest(), fill)
    with pytest.raises(BundleError, match=rf"exists already.*the bundle is in {path}"):
        out.deliver(path, make_current=True)
    assert open_bundle(path).version == path.name


def test_reports_of_a_run_without_a_bundle_stay_where_they_are(tmp_path: Path) -> None:
    out = Destination.of(f"file://{tmp_path}/remote")
    assert out.deliver(tmp_path, make_current=True) == str(tmp_path)
    assert not (tmp_path / "remote").exists()
