"""Every file, folder and method that the documentation names exists."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from markdown_it import MarkdownIt

from tests.docs.examples import DOCUMENTS
from tests.support.paths import ROOT
from tests.test_imports import LAYERS

PACKAGES = ("catalog", "clients", "docs", "gemserve", "loadtest", "requirements", "server", "tests", "trainer", ".ci")
PATH = re.compile(rf"(?:{'|'.join(map(re.escape, PACKAGES))})(?:/[\w.{{}},*-]+)+/?")
FILE_NAME = re.compile(r"[\w-]+\.(?:py|lua|ts|js)")
METHOD = re.compile(r"([A-Z]\w+)\.([a-z_]\w*)(?:\(.*\))?")
CLASS_NAME = re.compile(r"[A-Z][a-z]+\w*[A-Z]\w*")  # of two words: one word may be any sentence's first
PART_ROW = re.compile(r"\| `(\w+)/` \|[^|]*\|([^|]+)\|")
BRACES = re.compile(r"(.*)\{([\w,.-]+)\}(.*)")


def code_spans(document: Path) -> Iterator[str]:
    """The texts between backticks, without those of fenced blocks."""
    for token in MarkdownIt("commonmark").enable("table").parse((ROOT / document).read_text(encoding="utf-8")):
        yield from (child.content for child in token.children or () if child.type == "code_inline")


def expanded(path: str) -> list[str]:
    """A path for every word in braces, as a shell expands them."""
    found = BRACES.fullmatch(path)
    return [path] if found is None else [f"{found[1]}{word}{found[3]}" for word in found[2].split(",")]


@cache
def file_names() -> frozenset[str]:
    return frozenset(
        path.name for name in PACKAGES for path in (ROOT / name).rglob("*") if "node_modules" not in path.parts
    )


def prose(text: str) -> Iterator[str]:
    """What stands outside of code in Markdown, headings included."""
    for token in MarkdownIt("commonmark").enable("table").parse(text):
        yield from (child.content for child in token.children or () if child.type == "text")


def class_names(texts: Iterator[str]) -> set[str]:
    """Names of the project's classes that stand where words are meant."""
    return {word for text in texts for word in CLASS_NAME.findall(text)} & {name for name, _ in methods()}


@cache
def methods() -> frozenset[tuple[str, str]]:
    """Class and member of everything that a class of the project defines, its annotated fields included."""
    found = set()
    for package in ("catalog", "loadtest", "server", "trainer"):
        for file in (ROOT / package).rglob("*.py"):
            for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
                if isinstance(node, ast.ClassDef):
                    found |= {(node.name, name) for name in members(node)}
    return frozenset(found)


def members(node: ast.ClassDef) -> Iterator[str]:
    for child in node.body:
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            yield child.name
        elif isinstance(child, ast.AnnAssign) and isinstance(child.target, ast.Name):
            yield child.target.id


def missing_paths(spans: Iterator[str]) -> list[str]:
    paths = [path for span in spans if PATH.fullmatch(span) for path in expanded(span)]
    return [path for path in paths if "*" not in path and not (ROOT / path).exists()]


@pytest.mark.parametrize("document", DOCUMENTS, ids=str)
def test_every_path_exists(document: Path) -> None:
    assert not missing_paths(code_spans(document))


@pytest.mark.parametrize("document", DOCUMENTS, ids=str)
def test_every_file_name_is_one_of_the_project(document: Path) -> None:
    named = {span for span in code_spans(document) if FILE_NAME.fullmatch(span)}
    assert not named - file_names()


def test_every_method_of_the_architecture_exists() -> None:
    found = [METHOD.fullmatch(span) for span in code_spans(Path("docs/architecture.md"))]
    named = {(method[1], method[2]) for method in found if method is not None}
    assert len(named) > 5
    assert not named - methods()


@pytest.mark.parametrize("document", DOCUMENTS, ids=str)
def test_no_class_name_stands_where_a_word_is_meant(document: Path) -> None:
    """Renaming `Edits` to `CatalogSync` everywhere once made sentences of nonsense."""
    assert not class_names(prose((ROOT / document).read_text(encoding="utf-8")))


def test_a_class_name_in_prose_is_found() -> None:
    text = "## CursorCodec of others\n\nCatalogSync of the catalog, by `CatalogSync` or GitHub's `x`.\n"
    assert class_names(prose(text)) == {"CursorCodec", "CatalogSync"}


def test_the_parts_of_the_architecture_are_those_of_the_layers_in_their_order() -> None:
    text = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
    parts = {package: re.findall(r"`(\w+)`", cell) for package, cell in PART_ROW.findall(text)}
    assert {name for name, named in parts.items() if named} >= {"catalog", "trainer", "server", "loadtest"}
    for package in ("catalog", "trainer", "server"):
        layers = [part for part in LAYERS[package].split() if part != "__main__"]
        assert parts[package] == layers
    assert all((ROOT / "loadtest" / part).is_dir() for part in parts["loadtest"])


def test_a_path_that_does_not_exist_is_found() -> None:
    spans = [
        "server/app/parts.py",
        "server/app/{parts,gone}.py",
        "catalog/ids",
        "loadtest/never.py",
        "make test",
        "server/app/parts.py --help",
    ]
    assert missing_paths(iter(spans)) == ["server/app/gone.py", "loadtest/never.py"]
