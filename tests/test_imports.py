"""Imports point one way: trainer → catalog ← server; only server/engine/vllm knows vLLM; clients know HTTP alone."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FORBIDDEN = {
    "catalog": {"trainer", "server", "clients", "loadtest", "vllm", "fastapi", "redis"},
    "trainer": {"server", "clients", "loadtest", "vllm", "fastapi", "redis"},
    "server": {"trainer", "clients", "loadtest"},
    "clients": {"catalog", "trainer", "server", "loadtest", "torch", "vllm"},
    "loadtest": {"tests"},
}


def imported(file: Path) -> set[str]:
    """Top-level names of everything that a file imports, wherever in it."""
    names = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            names.add(node.module.split(".")[0])
    return names


@pytest.mark.parametrize("package", FORBIDDEN)
def test_a_package_imports_only_what_it_may(package):
    offences = {
        str(file.relative_to(ROOT)): sorted(imported(file) & FORBIDDEN[package])
        for file in (ROOT / package).rglob("*.py")
        if imported(file) & FORBIDDEN[package]
    }
    assert not offences


def test_only_the_vllm_engine_imports_vllm():
    files = [f for f in (ROOT / "server").rglob("*.py") if (ROOT / "server/engine/vllm") not in f.parents]
    assert not [str(f) for f in files if "vllm" in imported(f)]


def test_no_module_of_the_trainer_hides_one_of_the_standard_library():
    hiding = {"types", "logging", "tokenize", "datasets", "evaluate", "queue", "copy", "random"}
    assert not hiding & {file.stem for file in (ROOT / "trainer").glob("*.py")}


def test_nothing_pickles_or_loads_unsafe_yaml():
    for package in FORBIDDEN:
        for file in (ROOT / package).rglob("*.py"):
            text = file.read_text(encoding="utf-8")
            assert "pickle" not in imported(file), file
            assert "torch.save(" not in text, file
            assert "torch.load(" not in text, file
            assert "yaml.load(" not in text, file
            assert "allow_pickle=True" not in text, file
