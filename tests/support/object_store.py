"""Stores for bundles: S3, which moto serves over HTTP on this machine, and a folder; each is changed from outside."""

from collections.abc import Iterator
from pathlib import Path
from typing import Protocol
from uuid import uuid4

import httpx
import pytest

__all__ = ["FolderStore", "ObjectStore", "S3Store", "s3_server", "s3_store"]

OWNER = "AWS4-HMAC-SHA256 Credential=test/20250101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0"


class ObjectStore(Protocol):
    """url: what `--bundles` takes."""

    url: str

    def read(self, name: str) -> bytes: ...

    def write(self, name: str, content: bytes) -> None: ...

    def remove(self, name: str) -> None: ...


class S3Store:
    """A bucket of its own, by plain HTTP; moto believes everybody that he is who he says."""

    def __init__(self, endpoint: str) -> None:
        bucket = f"bucket-{uuid4().hex}"
        self.url = f"s3://{bucket}/shops/outdoor"
        self._at = f"{endpoint}/{bucket}/shops/outdoor"
        self._client = httpx.Client(timeout=60, headers={"Authorization": OWNER})
        self._client.put(f"{endpoint}/{bucket}").raise_for_status()

    def read(self, name: str) -> bytes:
        return self._client.get(f"{self._at}/{name}").raise_for_status().content

    def write(self, name: str, content: bytes) -> None:
        self._client.put(f"{self._at}/{name}", content=content).raise_for_status()

    def remove(self, name: str) -> None:
        self._client.delete(f"{self._at}/{name}").raise_for_status()


class FolderStore:
    def __init__(self, folder: Path) -> None:
        self.url = f"file://{folder}"
        self._folder = folder

    def read(self, name: str) -> bytes:
        return (self._folder / name).read_bytes()

    def write(self, name: str, content: bytes) -> None:
        (self._folder / name).write_bytes(content)

    def remove(self, name: str) -> None:
        (self._folder / name).unlink()


@pytest.fixture(scope="session")
def s3_server() -> Iterator[str]:
    from moto.server import ThreadedMotoServer  # a second of imports

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def s3_store(s3_server: str, monkeypatch: pytest.MonkeyPatch) -> S3Store:
    """An empty one, which this process and those that it starts may use."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3_server)
    return S3Store(s3_server)
