"""The files below an address that fsspec reaches. What fsspec and its file systems raise ends here."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any

import fsspec

from catalog.errors import BundleError

__all__ = ["StoreFiles", "StoreUnavailable", "StoredFile", "is_url"]

PACKAGES = {"s3": "s3fs", "gs": "gcsfs", "hf": "huggingface_hub"}
"""What fsspec needs for an address, by its beginning."""
REFUSED = {"PreconditionFailed", "ConditionalRequestConflict", "NoSuchKey"}
"""S3's codes of a write whose condition did not hold; the last where the file is gone that should be as it was."""


class StoreUnavailable(BundleError):
    """The store was not reached, or refused."""


def is_url(text: str) -> bool:
    """Whether it is the address of a store, and no path."""
    return "://" in text


@dataclass(frozen=True, slots=True)
class StoredFile:
    """What a file had in it when it was read. etag: the store's own mark of that content; None where it has none."""

    content: bytes
    etag: str | None


class StoreFiles:
    """Reads and writes files by their names below an address, which is opened at the first use.

    url: such as `s3://bucket/folder`. Who may come in, and S3's endpoint, are the file system's own variables.

    Every method raises BundleError where the address needs a package that is not installed or nothing knows it, and
    StoreUnavailable where the store cannot be reached or refuses.
    """

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")
        self._protocol = url.partition("://")[0]

    def names(self) -> list[str]:
        """Of all files."""
        with self._reached():
            self._files.invalidate_cache()
            return [str(PurePosixPath(found).relative_to(self._root)) for found in self._files.find(self._root)]

    def exists(self, name: str) -> bool:
        with self._reached():
            self._files.invalidate_cache()
            return bool(self._files.exists(self._at(name)))

    def read(self, name: str) -> StoredFile | None:
        """A small file; None where there is none."""
        with self._reached():
            self._files.invalidate_cache()
            try:
                etag = self._files.info(self._at(name)).get("ETag")  # before: by an older one a write is refused
                return StoredFile(self._files.cat_file(self._at(name)), etag)
            except FileNotFoundError:
                return None

    def download(self, name: str, to: Path) -> bool:
        """Whether there is such a file."""
        with self._reached():
            try:
                self._files.get_file(self._at(name), str(to))
            except FileNotFoundError:
                return False
            return True

    def upload(self, file: Path, name: str) -> None:
        with self._reached(), self._whole(name) as target:
            self._files.put_file(str(file), target)

    def replace(self, name: str, content: bytes, before: StoredFile | None) -> bool:
        """Write a small file if it is still as it was read. before: None where there was none."""
        with self._reached():
            if self._protocol == "s3":
                return self._put_s3(name, content, before)
            if self.read(name) != before:
                return False
            with self._whole(name) as target:
                self._files.pipe_file(target, content)
            written = self.read(name)
            return written is not None and written.content == content

    def _put_s3(self, name: str, content: bytes, before: StoredFile | None) -> bool:
        bucket, _, key = self._at(name).partition("/")
        condition = {"IfNoneMatch": "*"} if before is None else {"IfMatch": before.etag}
        try:
            self._files.call_s3("put_object", Bucket=bucket, Key=key, Body=content, **condition)
        except Exception as error:
            response = getattr(error.__cause__ or error, "response", None) or {}
            if response.get("Error", {}).get("Code") in REFUSED:
                return False
            raise
        return True

    @cached_property
    def _opened(self) -> tuple[Any, str]:
        options = {"auto_mkdir": True} if self._protocol == "file" else {}
        try:
            files, root = fsspec.url_to_fs(self.url, use_listings_cache=False, skip_instance_cache=True, **options)
        except ImportError as error:
            package = PACKAGES.get(self._protocol, self._protocol)
            raise BundleError(f"{self.url} needs the package {package}: pip install {package}") from error
        except ValueError as error:
            known = ", ".join(f"{name}://" for name in ("file", *PACKAGES))
            raise BundleError(f"nothing knows how to read {self.url} ({error}): use one of {known}") from error
        return files, root

    @property
    def _files(self) -> Any:
        return self._opened[0]

    @property
    def _root(self) -> str:
        return self._opened[1]

    def _at(self, name: str) -> str:
        return f"{self._root}/{name}"

    @contextmanager
    def _whole(self, name: str) -> Iterator[str]:
        """Where to write a file so that nobody sees a part of it: in a folder under another name first."""
        if self._protocol != "file":
            yield self._at(name)
            return
        draft = str(PurePosixPath(self._at(name)).with_name(f".{uuid.uuid4().hex}"))
        yield draft
        self._files.mv(draft, self._at(name))

    @contextmanager
    def _reached(self) -> Iterator[None]:
        try:
            yield
        except BundleError:
            raise
        except Exception as error:  # every file system has its own
            what = f"{self.url} cannot be reached or used ({error!r})"
            raise StoreUnavailable(f"{what}: check address and access") from error
