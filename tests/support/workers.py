"""How pytest-xdist divides the tests between its processes.

The tests of a file run in one process, since they share the file's fixtures. Files that share a fixture that is slow to
start are a group and run in one process too, which starts it once. The named groups begin, in the order of GROUPS: else
a process could be left with a long one in the end.
"""

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from xdist.scheduler import Scheduling

__all__ = ["order", "scheduler"]

GROUPS: dict[str, str] = {
    "tests/integration/test_engine.py": "engine",
    "tests/integration/test_engine_changes.py": "engine",
    "tests/integration/test_engine_statistics.py": "engine",
    "tests/e2e": "browser",
    "tests/docs": "docs",
    "tests/clients": "clients",
    "tests/trainer/analysis": "multiprocessing",
    "tests/loadtest/training": "multiprocessing",
}
"""The group of a file, or of every file in a folder."""


def group_of(test: str) -> str:
    """The group of a test by its name, `FILE::TEST`: that of its file or of the nearest folder, else the file."""
    file = place = test.partition("::")[0]
    while place not in GROUPS and "/" in place:
        place = place.rpartition("/")[0]
    return GROUPS.get(place, file)


def order(items: list[pytest.Item]) -> None:
    """Puts the groups of GROUPS first, in their order."""
    ranks = {group: rank for rank, group in enumerate(dict.fromkeys(GROUPS.values()))}
    items.sort(key=lambda item: ranks.get(group_of(item.nodeid), len(ranks)))


def scheduler(config: pytest.Config, log: Any) -> "Scheduling":
    """The scheduler of `--dist loadscope`, with these groups for its scopes."""
    from xdist.scheduler import LoadScopeScheduling  # where pytest-xdist is not installed nobody asks for it

    class GroupScheduling(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return group_of(nodeid)

    return GroupScheduling(config, log)
