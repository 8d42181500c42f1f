"""What `make results` runs, what it leaves out, and what it says about it; the parts here take no time."""

import json
import re
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from loadtest.measure.results.__main__ import main
from loadtest.measure.results.parts import PARTS, PYTHON, DataSet, Part
from loadtest.measure.results.runner import Runner
from loadtest.measure.results.tables.registry import TABLES
from tests.support.paths import ROOT
from tests.support.processes import run as run_process

WRITE = "import pathlib, sys; pathlib.Path(sys.argv[1]).write_text(pathlib.Path('code/figures.txt').read_text())"
FAIL = "raise SystemExit(3)"
MISSING = DataSet("far", "jsonl", "small", "far", "https://example.org/far.zip")

Run = Callable[..., int]


def part(name: str, program: str = WRITE, **more: Any) -> Part:
    return Part(name, ((PYTHON, "-c", program, "{json}"),), ("code",), **more)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A repository with a page, and figures that its parts copy."""
    (tmp_path / "docs").mkdir()
    (tmp_path / "code").mkdir()
    (tmp_path / "README.md").write_text("<!-- results: summary -->\n<!-- /results -->\n")
    (tmp_path / "code/figures.txt").write_text('{"figure": 1}')
    return tmp_path


@pytest.fixture
def results(root: Path) -> Run:
    def run(parts: Sequence[Part], *arguments: str) -> int:
        return main(["--root", str(root), "--data", "data", "--var", "var", *arguments], parts)

    return run


def measured(root: Path, name: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((root / f"docs/measurements/{name}.json").read_text())
    return content


def test_a_part_writes_its_json_and_how_it_was_made(root: Path, results: Run) -> None:
    assert results([part("a")]) == 0
    content = measured(root, "a")
    assert content["figure"] == 1
    made = content["made"]
    assert made["command"] == "make results ONLY=a"
    assert made["steps"][0].startswith("python -c ")
    assert made["machine"]["cores"] > 0
    assert made["seconds"] >= 0
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00", made["finished"])
    assert "ONLY=quality-shop" in (root / "README.md").read_text(), "the tables are written"


def test_what_is_of_the_code_of_now_is_not_made_again(
    root: Path, results: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    results([part("a")])
    before = measured(root, "a")
    results([part("a")])
    assert "a is of the code and data of now" in capsys.readouterr().out
    assert measured(root, "a") == before
    (root / "code/figures.txt").write_text('{"figure": 2}')
    results([part("a")])
    assert measured(root, "a")["figure"] == 2


def test_what_follows_another_part_is_made_again_when_that_was(root: Path, results: Run) -> None:
    for follows, figure in (((), 1), (("a",), 2)):
        (root / "code/figures.txt").write_text('{"figure": 1}')
        parts = [part("a"), replace(part("b", follows=follows), code=("docs",))]
        results(parts)
        (root / "code/figures.txt").write_text('{"figure": 2}')
        results(parts)
        assert measured(root, "a")["figure"] == 2
        assert measured(root, "b")["figure"] == figure


def test_the_commit_has_a_plus_where_the_code_of_the_part_was_changed(root: Path, results: Run) -> None:
    def git(*arguments: str) -> None:
        subprocess.run(["git", "-c", "user.name=a", "-c", "user.email=a@b", *arguments], cwd=root, check=True)

    git("init", "--quiet")
    git("add", ".")
    git("commit", "--quiet", "-m", "a")
    results([part("a")])
    assert re.fullmatch(r"[0-9a-f]+", measured(root, "a")["made"]["commit"]), "the page was changed, the code was not"
    (root / "code/figures.txt").write_text('{"figure": 2}')
    results([part("a")])
    assert measured(root, "a")["made"]["commit"].endswith("+")


def test_force_makes_it_again(root: Path, results: Run) -> None:
    results([part("a")])
    edited = root / "docs/measurements/a.json"
    edited.write_text(edited.read_text().replace('"figure": 1', '"figure": 9'))
    results([part("a")])
    assert measured(root, "a")["figure"] == 9
    results([part("a")], "--force")
    assert measured(root, "a")["figure"] == 1


def test_a_missing_data_set_is_named_and_the_others_go_on(
    root: Path, results: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    assert results([part("a", data=MISSING), part("b")]) == 0
    assert "https://example.org/far.zip" in capsys.readouterr().err
    assert measured(root, "b")["figure"] == 1
    assert not (root / "docs/measurements/a.json").exists()
    assert results([part("a", data=MISSING), part("b")], "--only", "a") == 2


def test_a_part_that_fails_keeps_the_old_figures_and_the_others_go_on(
    root: Path, results: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    results([part("a")])
    before = measured(root, "a")
    assert results([part("a", FAIL), part("b")]) == 1
    assert "ended with status 3" in capsys.readouterr().err
    assert measured(root, "a") == before
    assert measured(root, "b")["figure"] == 1


def test_an_interruption_keeps_what_was_measured(
    root: Path, results: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = Runner.run

    def interrupted(runner: Runner, own: Part) -> None:
        if own.name == "b":
            raise KeyboardInterrupt
        run(runner, own)

    monkeypatch.setattr(Runner, "run", interrupted)
    assert results([part("a"), part("b")]) == 130
    assert "interrupted" in capsys.readouterr().err
    assert measured(root, "a")["figure"] == 1
    assert results([part("a")], "--check") == 0


def test_what_takes_hours_is_made_by_name_only(root: Path, results: Run) -> None:
    parts = [part("a", hours=True), part("b")]
    results(parts)
    assert not (root / "docs/measurements/a.json").exists()
    results(parts, "--only", "a")
    assert measured(root, "a")["figure"] == 1


def test_tables_alone_run_nothing(root: Path, results: Run) -> None:
    assert results([part("a")], "--only", "tables") == 0
    assert not (root / "docs/measurements").exists()
    assert "Not measured yet" in (root / "README.md").read_text()
    assert results([part("a")], "--check") == 0


def test_a_table_that_is_not_current_is_named(results: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert results([], "--check") == 1
    assert capsys.readouterr().err.startswith("README.md: ")


def test_a_name_that_is_none_is_an_error(results: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert results([part("a")], "--only", "b") == 2
    assert "there is no part b" in capsys.readouterr().err


def test_what_another_part_leaves_behind_is_asked_for(results: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert results([part("a", needs=(("{var}/bundle", "`make results ONLY=b`"),))], "--only", "a") == 2
    assert "a needs var/bundle: `make results ONLY=b`" in capsys.readouterr().err


def test_a_command_that_makes_a_folder_runs_where_it_is_not_there(root: Path, results: Run) -> None:
    make = ("unless", "{var}/base", PYTHON, "-c", "import pathlib; pathlib.Path('var/base').mkdir()")
    own = Part("a", (make, *part("a").commands), ("code",))
    assert results([own]) == 0
    assert len(measured(root, "a")["made"]["steps"]) == 2
    assert results([own], "--force") == 0
    assert len(measured(root, "a")["made"]["steps"]) == 1


def test_the_list_says_what_is_current(root: Path, results: Run, capsys: pytest.CaptureFixture[str]) -> None:
    results([part("a")])
    capsys.readouterr()
    assert results([part("a"), part("b", hours=True)], "--list") == 0
    lines = [line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines()]
    assert lines == [["a", "current"], ["b", "not current   by name only"]]


def test_every_measured_table_has_a_part_that_makes_it() -> None:
    named = {file for table in TABLES.values() for file in table.files}
    assert named <= {own.output for own in PARTS}


@pytest.mark.parametrize("own", PARTS, ids=lambda own: own.name)
def test_the_commands_of_a_part_have_flags_that_there_are(own: Part) -> None:
    for command in own.commands:
        if not any(word.startswith("--") for word in command):
            continue
        words = list(command[command.index(PYTHON) + 1 :])
        program = words[:2] if words[0] == "-m" else words[:1]
        done = run_process(*program, "--help", imported="trainer", folder=ROOT)
        assert done.returncode == 0, done.stderr
        for flag in (word for word in words[len(program) :] if word.startswith("--")):
            assert flag in done.stdout


@pytest.mark.parametrize("own", PARTS, ids=lambda own: own.name)
def test_the_code_of_a_part_is_there(own: Part) -> None:
    assert own.code
    assert all((ROOT / path).exists() for path in own.code)
