"""`gemserve` as people meet it: help that teaches, programs by one word, messages in its own name."""

import ast
import importlib
import inspect
import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from catalog.data.items import Items, read_items
from gemserve.command import COMMANDS, main
from server.auth import key_file
from tests.support.paths import ROOT
from tests.support.processes import run

SMALL = ("--products", "100", "--shoppers", "5", "--events", "50")
WORDS = sorted({name.split()[0] for name in COMMANDS})


def gemserve(*words: str | Path, imported: str = "server") -> "subprocess.CompletedProcess[str]":
    """The command's own process, from one that has imported what its program needs."""
    return run("-m", "gemserve", *words, imported=imported, folder=ROOT)


@pytest.mark.parametrize("words", [[], ["--help"], ["-h"], ["help"]])
def test_alone_it_shows_every_command_and_the_way_from_nothing(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words) == 0
    said = capsys.readouterr().out
    assert said.startswith("usage: gemserve COMMAND …\n")
    for word in WORDS:
        assert f"\n  {word} " in said
    for step in ("gemserve import shop", "gemserve train --items", "gemserve serve --bundles"):
        assert step in said
    assert "Read on in docs/" in said


def test_its_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert capsys.readouterr().out == f"gemserve {project['version']}\n"


@pytest.mark.parametrize("words", [["export"], ["export", "--help"]])
def test_export_shows_what_can_be_exported(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == 0
    said = capsys.readouterr().out
    assert "\n  export events " in said
    assert "\n  export items " in said


@pytest.mark.parametrize("words", [["synonyms"], ["synonyms", "--help"]])
def test_synonyms_shows_what_there_is_to_do(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == 0
    assert "\n  synonyms propose " in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["sevre"], "no command is named 'sevre' (did you mean serve?)"),
        (["retrian", "--help"], "no command is named 'retrian' (did you mean retrain?)"),
        (["export", "evnts"], "no command is named 'export evnts' (did you mean export events?)"),
        (["xyzzy"], "no command is named 'xyzzy'; `gemserve --help` lists them"),
        (["--bundles", "out"], "no command is named '--bundles'"),
    ],
)
def test_an_unknown_command(words: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("name", COMMANDS)
def test_the_help_of_every_command_teaches(name: str) -> None:
    done = gemserve(*name.split(), "--help", imported="trainer")
    assert done.returncode == 0, done.stderr
    usage, _, rest = done.stdout.partition("\n\n")
    assert usage.startswith(f"usage: gemserve {name} ")
    assert f"gemserve {name} " in rest, "an example"
    assert "Read on in\ndocs/" in rest or "Read on in docs/" in rest
    document = rest.split("Read on in", 1)[1].split()[0].rstrip(".;")
    assert (ROOT / document).is_file()


@pytest.mark.parametrize("name", COMMANDS)
def test_every_program_can_be_called_by_another_name(name: str) -> None:
    signature = inspect.signature(importlib.import_module(COMMANDS[name].module).main)
    assert {"arguments", "program"} <= signature.parameters.keys()


def test_help_imports_nothing_heavy() -> None:
    code = "import sys; from gemserve.command import main; main(['--help']); main(['export', '--help'])\n"
    code += "import json; print(json.dumps(sorted({name.split('.')[0] for name in sys.modules})))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    loaded = set(json.loads(done.stdout.splitlines()[-1]))
    heavy = {"torch", "vllm", "transformers", "numpy", "pydantic", "pyarrow"}
    assert not loaded & (heavy | {"server", "trainer", "catalog"})


def test_help_of_no_command_waits_for_torch() -> None:
    """Nor do settings of a server that are refused: PyTorch, transformers and what answers take seconds to import."""
    code = """
import sys
from gemserve.command import COMMANDS, main
helps = [[*name.split(), "--help"] for name in COMMANDS]
refused = [["serve", "--bundels", "nowhere"], ["serve", "--bundles", "nowhere", "--port", "tent"]]
for words in [*helps, *refused]:
    try:
        status = main(words)
    except SystemExit as ended:
        status = ended.code
    assert status == (2 if words in refused else 0), words
    for heavy in {"torch", "transformers", "vllm", "server.app"} & sys.modules.keys():
        sys.exit(f"{words} has imported {heavy}")
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_installed_command_is_this_one() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    module, _, function = project["project"]["scripts"]["gemserve"].partition(":")
    assert getattr(importlib.import_module(module), function) is main
    assert "gemserve*" in project["tool"]["setuptools"]["packages"]["find"]["include"]


def test_keys_are_made_and_its_name_is_in_its_errors(tmp_path: Path) -> None:
    file = tmp_path / "keys.json"
    made = gemserve("keys", "create", "--file", file, "--name", "shop", "--scopes", "read")
    assert made.returncode == 0
    (key,) = key_file.read(file)
    assert made.stdout.startswith(f"gsk_{key.id}_")
    wrong = gemserve("keys", "create", "--file", file, "--name", "shop", "--scopes", "raed")
    assert wrong.returncode == 2
    assert "gemserve keys create: error: argument --scopes: 'raed': give one or more of read" in wrong.stderr


def test_a_data_set_is_imported(tmp_path: Path) -> None:
    done = gemserve("import", "shop", tmp_path, *SMALL, imported="trainer")
    assert done.returncode == 0, done.stderr
    assert len(Items(read_items(tmp_path / "items.parquet"))) > 20


def test_a_server_that_cannot_start_says_what_to_do(tmp_path: Path) -> None:
    done = gemserve("serve", "--bundles", tmp_path, "--port", "0")
    assert done.returncode == 2
    assert f"{tmp_path / 'current'} does not exist: publish a bundle first (gemserve train … " in done.stderr
    done = gemserve("serve", "--bundle", tmp_path)
    assert done.returncode == 2
    assert "gemserve serve: error: no flag is named --bundle (did you mean --bundles?)" in done.stderr


def test_a_training_without_data_ends_as_its_program_does(tmp_path: Path) -> None:
    missing = ("--items", tmp_path / "items.parquet", "--events", tmp_path / "events.parquet", "--out", tmp_path)
    done = gemserve("train", *missing, imported="trainer")
    assert done.returncode == 2
    assert "`gemserve import` writes items and events files" in done.stderr


def descriptions() -> list[tuple[str, str]]:
    """Every line of the docstrings that commands show as their help, as Python reads it."""
    files = [file for name in ("catalog", "loadtest", "server", "trainer") for file in (ROOT / name).rglob("*.py")]
    docs = {file: ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or "" for file in files}
    shown = {file: doc for file, doc in docs.items() if "description=__doc__" in file.read_text(encoding="utf-8")}
    return [(str(file.relative_to(ROOT)), line) for file, doc in shown.items() for line in doc.splitlines()]


def test_the_usage_of_no_command_is_one_line_with_gaps() -> None:
    """A backslash at the end of a line of a docstring joins it to the next, indentation included."""
    assert {file for file, _ in descriptions()} >= {"trainer/run.py", "server/cli/retrain/__main__.py"}
    assert [(file, line) for file, line in descriptions() if re.search(r"\S {4,}\S", line) and "--" in line] == []
    assert [(file, line) for file, line in descriptions() if len(line) > 120] == []
