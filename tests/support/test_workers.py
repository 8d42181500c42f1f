"""The groups that share a process."""

from pathlib import Path

import pytest

from tests.support.paths import ROOT
from tests.support.workers import GROUPS, group_of


def test_tests_of_a_file_a_folder_and_a_group_stay_together() -> None:
    assert (
        group_of("tests/e2e/test_search.py::test_x[a/b::c]") == group_of("tests/e2e/test_items.py::test_y") == "browser"
    )
    assert group_of("tests/test_imports.py::test_x[tests/e2e]") == "tests/test_imports.py"
    assert group_of("tests/integration/test_engine.py::test_x") != group_of("tests/integration/test_service.py::test_x")


@pytest.mark.parametrize("place", GROUPS)
def test_every_place_that_is_named_exists(place: str) -> None:
    assert Path(ROOT / place).exists()
