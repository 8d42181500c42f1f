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
    "tests/integration/test_service.py": "vllm server",
    "tests/integration/test_live_changes.py": "vllm server",
    "tests/faults/test_engine_process.py": "vllm server",
    "tests/integration/test_engine.py": "engine",
    "tests/integration/test_engine_changes.py": "engine",
    "tests/integration/test_engine_statistics.py": "engine",
    "tests/hostile/test_event_loop.py": "event loop",
    "tests/e2e": "browser",
    "tests/docs": "docs",
    "tests/clients/test_typescript.py": "docs",  # both build the TypeScript client
    "tests/clients": "clients",
    "tests/trainer/test_pipeline.py": "trained",
    "tests/trainer/analysis": "multiprocessing",
    "tests/loadtest/training": "multiprocessing",
}
"""The group of a file, or of every file in a folder."""


def place_of(test: str) -> str:
    """The file of a test by its name, `FILE::TEST`, or the nearest folder of it that GROUPS has; else the file."""
    file = place = test.partition("::")[0]
    while place not in GROUPS and "/" in place:
        place = place.rpartition("/")[0]
    return place if place in GROUPS else file


def group_of(test: str) -> str:
    """The group of a test: that of its place, or its file."""
    place = place_of(test)
    return GROUPS.get(place, place)


def order(items: list[pytest.Item]) -> None:
    """Puts the groups of GROUPS first, and in each group its places, in their order."""
    groups, places = list(dict.fromkeys(GROUPS.values())), list(GROUPS)

    def rank(item: pytest.Item) -> tuple[int, int]:
        place = place_of(item.nodeid)
        return (groups.index(GROUPS[place]), places.index(place)) if place in GROUPS else (len(groups), 0)

    items.sort(key=rank)


def scheduler(config: pytest.Config, log: Any) -> "Scheduling":
    """The scheduler of `--dist loadscope`, with these groups for its scopes."""
    from xdist.scheduler import LoadScopeScheduling  # where pytest-xdist is not installed nobody asks for it

    class GroupScheduling(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return group_of(nodeid)

    return GroupScheduling(config, log)
