"""Every table of figures is what its JSON file of docs/measurements says: nobody edits a figure by hand."""

import shutil
from pathlib import Path

import pytest

from loadtest.measure.results.documents import outdated, write_tables
from tests.support.paths import ROOT


@pytest.fixture
def documents(tmp_path: Path) -> Path:
    """A copy of the documents and their JSON files, to be changed by a test."""
    shutil.copy(ROOT / "README.md", tmp_path)
    shutil.copytree(ROOT / "docs", tmp_path / "docs")
    return tmp_path


def test_every_table_is_what_its_json_says() -> None:
    assert outdated(ROOT) == [], "`make results ONLY=tables` writes them"


def test_a_figure_that_was_edited_is_found_and_written_again(documents: Path) -> None:
    page = documents / "README.md"
    text = page.read_text(encoding="utf-8")
    assert text.count("0.382") > 0
    page.write_text(text.replace("0.382", "0.482"), encoding="utf-8")
    assert outdated(documents) == [Path("README.md")]
    write_tables(documents)
    assert page.read_text(encoding="utf-8") == text
