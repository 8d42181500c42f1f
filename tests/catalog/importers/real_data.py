"""Where the real data sets lie on a development machine; tests of them are skipped elsewhere."""

from pathlib import Path

import pytest

from tests.support.paths import SHARED

__all__ = ["real_data"]


def real_data(name: str) -> Path:
    """The folder of a real data set; skips the test where it is absent."""
    folder = SHARED / name
    if not folder.is_dir():
        pytest.skip(f"the real data set is not on this machine ({folder})")
    return folder
