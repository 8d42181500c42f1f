"""What a name stands for that nobody knows."""

import time

import pytest

from catalog.nearest import MAX_NAME_LENGTH, nearest_name

KNOWN = ["k", "limit", "user", "session", "filter", "exclude_seen", "timeout_ms", "Price", "min_score"]


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("filtre", "filter"),
        ("USR", "user"),
        ("price", "Price"),
        ("exclude", "exclude_seen"),
        ("timeout", "timeout_ms"),
        ("limits", "limit"),
        ("sesion", "session"),
        ("colour", None),
        ("utm_source", None),
        ("", None),
        ("\ud800", None),
        ("x" * 50, None),
    ],
)
def test_the_nearest_name(name: str, nearest: str | None) -> None:
    assert nearest_name(name, KNOWN) == nearest


def test_nothing_is_near_where_nothing_is_known() -> None:
    assert nearest_name("user", []) is None


def test_a_huge_name_costs_nothing() -> None:
    """Two megabytes took difflib 0.4 s, in the event loop."""
    begun = time.process_time()
    assert nearest_name("usersession" * 200_000, ["x" * MAX_NAME_LENGTH] * 1_000) is None
    assert time.process_time() - begun < 0.05
