"""docs/licences.md is current, and every licence in it is allowed or was looked at."""

import sys
from email.message import Message

import pytest

from tests.ci.scripts import load

licences = load("licences")
RULES = licences.Rules(
    frozenset({"MIT", "Apache-2.0", "BSD-3-Clause", "Apache-2.0 WITH LLVM-exception"}),
    {"MIT License": "MIT", "BSD": "BSD-3-Clause"},
    {"odd": ("unknown", "looked at")},
)


def test_the_list_is_current_and_nothing_in_it_is_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["licences.py", "--check"])
    assert licences.main() == 0, capsys.readouterr().out


@pytest.mark.parametrize(
    ("licence", "allowed"),
    [
        ("MIT", True),
        ("MIT OR GPL-3.0-only", True),
        ("MIT AND GPL-3.0-only", False),
        ("(MIT OR GPL-3.0-only) AND Apache-2.0 WITH LLVM-exception", True),
        ("GPL-3.0-only", False),
        ("unknown", False),
        ("see http://example.org/LICENSE", False),
    ],
)
def test_a_licence_is_allowed_if_one_may_choose_it_so(licence: str, allowed: bool) -> None:
    assert (RULES.refuse("package", licence) is None) is allowed


def test_a_package_that_was_looked_at_is_refused_when_its_licence_changes() -> None:
    assert RULES.refuse("odd", "unknown") is None
    assert RULES.refuse("odd", "GPL-3.0-only") == "was reviewed as unknown and is GPL-3.0-only now"


@pytest.mark.parametrize(
    ("fields", "licence"),
    [
        ({"License-Expression": "MIT", "License": "BSD"}, "MIT"),
        ({"Classifier": "License :: OSI Approved :: MIT License", "License": "a long text"}, "MIT"),
        ({"License": "BSD\nand its text"}, "BSD-3-Clause"),
        ({"License": "Of my own"}, "Of my own"),
        ({}, "unknown"),
    ],
)
def test_metadata_say_a_licence_in_several_places(fields: dict[str, str], licence: str) -> None:
    metadata = Message()
    for name, value in fields.items():
        metadata[name] = value
    assert RULES.licence_of(metadata) == licence


def test_packages_of_npm_have_what_their_lock_file_says() -> None:
    found = licences.node_licences(licences.Rules.read(licences.RULES))
    assert (found["instantsearch.js"], found["mkdirp"], found["hogan.js"]) == ("MIT", "MIT", "unknown")
    assert "@gemserve/client" not in found
