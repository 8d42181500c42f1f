"""The documentation as a site: `make docs` builds it, and a link that leads nowhere stops it."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.paths import ROOT


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """The documentation beside the files that it links to, to be changed by a test."""
    for name in ("docs", ".ci"):
        shutil.copytree(ROOT / name, tmp_path / name)
    shutil.copy(ROOT / "mkdocs.yml", tmp_path)
    for name in ("catalog", "trainer", "server", "loadtest", "clients", "deploy"):
        (tmp_path / name).symlink_to(ROOT / name)
    return tmp_path


def build(folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "mkdocs", "build", "--strict"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=120)


def test_the_site_is_built_with_every_page_and_needs_no_other_server(checkout: Path) -> None:
    done = build(checkout)
    assert done.returncode == 0, done.stderr
    pages = {page.stem for page in (checkout / "docs").glob("*.md")}
    built = checkout / "var/site"
    assert {page.stem for page in built.glob("*.html")} - {"404"} == pages
    for page in built.glob("*.html"):
        text = page.read_text(encoding="utf-8")
        assert '<script src="http' not in text
        assert 'rel="stylesheet" href="http' not in text
    assert "<code>trainer/config/gems.py</code>" in (built / "training.html").read_text(encoding="utf-8")


def test_a_link_that_leads_nowhere_stops_it(checkout: Path) -> None:
    links = [
        "[x](no-page.md)",
        "[x](data.md#no-anchor)",
        "[x](../server/no-source.py)",
        "![x](pictures/no-picture.png)",
    ]
    page = checkout / "docs/data.md"
    page.write_text("\n\n".join([page.read_text(encoding="utf-8"), *links]) + "\n", encoding="utf-8")
    done = build(checkout)
    assert done.returncode != 0
    for name in ("no-page.md", "no-anchor", "server/no-source.py", "no-picture.png"):
        assert name in done.stderr
