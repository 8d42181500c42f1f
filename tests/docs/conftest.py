"""Two servers of the documentation's store, each with a Redis of its own."""

from collections.abc import Iterator

import pytest

from tests.docs import serving
from tests.docs.serving import Store


@pytest.fixture(scope="package")
def open_store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    with serving.open_store(tmp_path_factory.mktemp("open-store")) as store:
        yield store


@pytest.fixture(scope="package")
def locked_store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    folder = tmp_path_factory.mktemp("locked-store")
    with serving.locked_store(folder, "--analytics", str(folder / "analytics")) as store:
        yield store
