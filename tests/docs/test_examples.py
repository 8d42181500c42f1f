"""Every example of the documentation does what it says, one document after another."""

import re
from functools import cache
from pathlib import Path

import pytest

from tests.docs.examples import DOCUMENTS, ROOT, Example, examples_of
from tests.docs.reader import Reader
from tests.docs.serving import FIRST_DAY, server_flags_of_make
from tests.support.processes import run

pytestmark = pytest.mark.integration

ALL = [example for document in DOCUMENTS for example in examples_of(document) if example.language]
WITH_KEYS = [Path("docs/operations.md"), Path("clients/python/README.md"), Path("clients/typescript/README.md")]
NEVER_RUN = [  # by document, in order: another one belongs here, and needs a good reason
    ("README.md", "minutes each"),
    ("README.md", "trains for minutes"),
    ("clients/python/README.md", "changes the environment"),
    ("docs/data.md", "needs brokers; tests/integration/test_kafka.py runs it with some"),
    ("docs/data.md", "trains for minutes"),
    ("docs/data.md", "goes on until it is stopped; tests/integration/test_drain.py runs it"),
    ("docs/data.md", "trains for minutes"),
    ("docs/data.md", "trains for minutes"),
    ("docs/first-day.md", "trains for minutes"),
    ("docs/method.md", "hours"),
    ("docs/method.md", "two hours, on data that is not in the repository"),
    ("docs/operations.md", "it wants the servers stopped"),
    ("docs/operations.md", "a Redis and a secret of several machines"),
    ("docs/operations.md", "a cluster of Kubernetes"),
    ("docs/operations.md", "Ray and several machines"),
    ("docs/operations.md", "a bucket and its keys"),
    ("docs/operations.md", "trains for minutes"),
    ("docs/quickstart.md", "minutes each"),
    ("docs/quickstart.md", "trains for minutes"),
    ("docs/quickstart.md", "trains for minutes, on data that is not in the repository"),
    ("docs/results.md", "needs the model of MovieLens"),
]
PROGRAM = re.compile(r"\b(trainer/run\.py|python -m [a-z_.]+|gemserve (?:export )?[a-z]+)([^;&|#\n]*)")
FLAG = re.compile(r"(?<=\s)--[a-z-]+")


@pytest.mark.parametrize("document", sorted({example.document for example in ALL} - {FIRST_DAY}), ids=str)
def test_the_examples_of(document: Path, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    store = request.getfixturevalue("locked_store" if document in WITH_KEYS else "open_store")
    Reader(tmp_path, store).read_all(document)


def test_examples_are_found_and_in_languages_that_are_run() -> None:
    assert len(ALL) > 20
    assert {example.language for example in ALL} <= {"sh", "console", "python", "ts", "json", "yaml", "nginx"}


def test_only_a_newcomer_who_asks_for_it_opens_the_catalog_to_everybody() -> None:
    assert server_flags_of_make()[-2:] == ["--managed-redis", "var/redis"]
    assert server_flags_of_make("ADMIN=open")[-2:] == ["--open-admin", "true"]


def test_few_examples_are_not_run() -> None:
    assert [(str(example.document), example.not_run) for example in ALL if example.not_run] == NEVER_RUN


@pytest.mark.parametrize("example", [e for e in ALL if e.not_run and PROGRAM.search(e.text)], ids=str)
def test_an_example_that_is_not_run_has_flags_that_there_are(example: Example) -> None:
    for program, rest in PROGRAM.findall(example.text.replace("\\\n", " ")):
        for flag in FLAG.findall(rest):
            assert flag in help_of(program), f"{example}: {program} has no {flag}"


@pytest.mark.parametrize("example", [e for e in ALL if e.not_run and e.text.startswith("make ")], ids=str)
def test_an_example_that_is_not_run_has_targets_that_there_are(example: Example) -> None:
    rules = re.findall(r"^([a-z][a-z -]*):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    targets = {target for rule in rules for target in rule.split()}
    assert set(re.findall(r"^make ([a-z-]+)", example.text, re.MULTILINE)) <= targets


@cache
def help_of(program: str) -> str:
    words = re.sub("^gemserve", "-m gemserve", program.removeprefix("python ")).split()
    done = run(*words, "--help", imported="trainer", folder=ROOT)
    assert done.returncode == 0, done.stderr
    return done.stdout
