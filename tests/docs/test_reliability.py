"""docs/reliability.md names the test of every fault and attack: each of them exists."""

import ast
import re

import pytest

from tests.docs.examples import ROOT

DOCUMENT = ROOT / "docs" / "reliability.md"
FOLDERS = {"Faults": "tests/faults", "Hostile input": "tests/hostile"}
NAMED = re.compile(r"`(?P<file>[\w./]*|…)::(?P<test>test_\w+)")


def rows(section: str) -> list[str]:
    """The table of a section, without its head."""
    text = DOCUMENT.read_text(encoding="utf-8").split(f"\n## {section}\n")[1].split("\n## ")[0]
    return [line for line in text.splitlines() if line.startswith("|")][2:]


def named(section: str) -> list[tuple[str, str]]:
    """File and function of every test, in order; where no file is named it is the one before."""
    tests, file = [], ""
    for found in NAMED.finditer("\n".join(rows(section))):
        if found["file"] not in ("", "…"):
            file = found["file"] if "/" in found["file"] else f"{FOLDERS[section]}/{found['file']}"
        tests.append((file, found["test"]))
    return tests


@pytest.mark.parametrize("section", FOLDERS)
def test_every_test_it_names_exists(section: str) -> None:
    tests = named(section)
    assert len(tests) > 5
    for file, test in tests:
        tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
        functions = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}
        assert test in functions, f"{file} has no {test}"


def test_every_fault_has_a_test() -> None:
    without = [row for row in rows("Faults") if not re.search(r"test_\w+\.py", row) and "::test_" not in row]
    assert without == []
