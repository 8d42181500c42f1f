"""Addresses of stores: what is one, and what is said of those that cannot be opened."""

from pathlib import Path

import pytest

from catalog.bundle.store import files as module
from catalog.bundle.store.files import StoreFiles, StoreUnavailable, is_url
from catalog.errors import BundleError
from tests.support.object_store import S3Store


def test_an_address_is_no_path() -> None:
    assert is_url("s3://b")
    assert not is_url("var/bundles")


def test_an_address_that_needs_a_package_or_that_nothing_knows_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(BundleError, match=r"nothing knows how to read ss3://b .*use one of file://, s3://"):
        StoreFiles("ss3://b").names()

    def missing(*_: object, **__: object) -> None:
        raise ImportError("Install gcsfs")

    monkeypatch.setattr(module.fsspec, "url_to_fs", missing)
    with pytest.raises(BundleError, match="needs the package gcsfs: pip install gcsfs"):
        StoreFiles("gs://b").names()


def test_a_bucket_that_is_not_there_is_said_and_not_made(s3_store: S3Store, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"1")
    files = StoreFiles("s3://no-such-bucket-of-ours/shops")
    for act in (lambda: files.upload(tmp_path / "file", "file"), lambda: files.replace("file", b"1", None)):
        with pytest.raises(StoreUnavailable, match=r"no-such-bucket-of-ours/shops cannot be reached or used .*check"):
            act()
