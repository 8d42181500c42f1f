"""The first day of a small shop, as the page tells it, command by command, to the values of the answers.

With fake engines here; `tests/integration/test_walkthrough.py`, a slow test, reads the same page with vLLM.
"""

from pathlib import Path

import pytest

from tests.docs import serving
from tests.docs.reader import Reader

pytestmark = pytest.mark.integration


def test_the_page_is_what_happens(tmp_path: Path) -> None:
    with serving.locked_store(tmp_path, "--analytics", str(tmp_path / "analytics")) as store:
        Reader(tmp_path / "reader", store, exact=True).read_all(serving.FIRST_DAY)
