"""How pytest-xdist divides the tests between its processes.

The tests of a file run in one process, since they share the file's fixtures. Files that share a fixture that is slow to
start are a group and run in one process too, which starts it once. The named groups begin, in the order of GROUPS: else
a process could be left with a long one in the end.
"""

from collections.abc import Sequence
from pathlib import Path, PurePosixPath

import pytest

__all__ = ["assign", "order"]

GROUPS: dict[str, str] = {
    "tests/integration/test_engine.py": "engine",
    "tests/integration/test_engine_changes.py": "engine",
    "tests/integration/test_engine_statistics.py": "engine",
    "tests/e2e": "browser",
    "tests/docs": "docs",
    "tests/clients": "clients",
    "tests/trainer/analysis": "analysis",
}
"""The group of a file, or of every file in a folder."""


def group_of(path: PurePosixPath) -> str:
    """The group of a test file, by its path below the repository: its name in GROUPS, else the file itself."""
    for place in (path, *path.parents):
        if (group := GROUPS.get(str(place))) is not None:
            return group
    return str(path)


def assign(items: Sequence[pytest.Item], root: Path) -> None:
    """Marks every test with the group of its file."""
    for item in items:
        path = PurePosixPath(item.path.relative_to(root).as_posix())
        item.add_marker(pytest.mark.xdist_group(group_of(path)))


def order(items: list[pytest.Item]) -> None:
    """Puts the groups of GROUPS first, in their order."""
    names = list(dict.fromkeys(GROUPS.values()))
    rank = {name: number for number, name in enumerate(names)}

    def place(item: pytest.Item) -> int:
        marker = item.get_closest_marker("xdist_group")
        return rank.get(marker.args[0] if marker else "", len(rank))

    items.sort(key=place)
