import resource

import pytest

from server.descriptors import OWN, reserve
from server.errors import StartupError

INFINITY = resource.RLIM_INFINITY


@pytest.mark.parametrize(
    ("soft", "hard", "after"),
    [
        (1_024, 4_096, 1_000 + OWN),
        (1_024, INFINITY, 1_000 + OWN),
        (1_000 + OWN, 4_096, 1_000 + OWN),
        (65_536, 65_536, 65_536),
        (INFINITY, INFINITY, INFINITY),
    ],
)
def test_the_limit_is_raised_as_far_as_needed(
    monkeypatch: pytest.MonkeyPatch, soft: int, hard: int, after: int
) -> None:
    limits = [(soft, hard)]
    monkeypatch.setattr(resource, "getrlimit", lambda _: limits[-1])
    monkeypatch.setattr(resource, "setrlimit", lambda _, wanted: limits.append(wanted))
    reserve(1_000)
    assert limits[-1] == (after, hard)


def test_what_cannot_be_reserved_stops_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (256, 1_024))
    with pytest.raises(StartupError, match=r"1,024 files, and 1,000 connections need 1,512"):
        reserve(1_000)
