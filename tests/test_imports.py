"""Imports point one way: trainer → catalog ← server; only server/engine/vllm knows vLLM; clients know HTTP alone."""

import ast
from pathlib import Path

import pytest

from tests.support.paths import ROOT

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


UNSAFE_MODULES = {"pickle", "cPickle", "_pickle", "marshal", "shelve", "dill", "cloudpickle", "joblib", "jsonpickle"}
UNSAFE_CALLS = {
    "eval",
    "exec",
    "compile",
    "__import__",
    "os.system",
    "os.popen",
    "torch.save",
    "torch.load",
    "torch.jit.load",
    "yaml.load",
    "yaml.load_all",
    "yaml.unsafe_load",
    "yaml.unsafe_load_all",
    "yaml.full_load",
    "yaml.full_load_all",
    "yaml.Loader",
    "yaml.UnsafeLoader",
    "pd.read_pickle",
}
UNSAFE_FLAGS = {"allow_pickle", "shell", "trust_remote_code"}


def unsafe(tree: ast.AST) -> set[str]:
    """What in a module could run somebody else's text: pickles, evaluation, loose YAML, shells, checkpoints' code."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names if alias.name.split(".")[0] in UNSAFE_MODULES}
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= names & UNSAFE_CALLS | ({node.module} if node.module.split(".")[0] in UNSAFE_MODULES else set())
        elif isinstance(node, ast.Call):
            name = ast.unparse(node.func)
            found |= {name} & UNSAFE_CALLS
            found |= {
                f"{name}({keyword.arg}=…)"
                for keyword in node.keywords
                if keyword.arg in UNSAFE_FLAGS
                and not (isinstance(keyword.value, ast.Constant) and keyword.value.value is False)
            }
    return found


@pytest.mark.parametrize("package", [*FORBIDDEN, ".ci"])
def test_nothing_runs_what_somebody_else_wrote(package):
    files = list((ROOT / package).rglob("*.py"))
    offences = {str(file.relative_to(ROOT)): unsafe(ast.parse(file.read_text(encoding="utf-8"))) for file in files}
    assert files
    assert not {file: what for file, what in offences.items() if what}


@pytest.mark.parametrize(
    "code",
    [
        "import pickle",
        "from cloudpickle import dumps",
        "import joblib.numpy_pickle",
        "torch.load(file, weights_only=True)",
        "np.load(file, allow_pickle=True)",
        "np.load(file, allow_pickle=wanted)",
        "yaml.load(text, Loader=yaml.SafeLoader)",
        "from yaml import full_load",
        "eval(text)",
        "subprocess.run(text, shell=True)",
        "os.system(text)",
        "AutoModel.from_pretrained(path, trust_remote_code=True)",
    ],
)
def test_what_runs_somebody_elses_text_is_seen(code):
    assert unsafe(ast.parse(code))


def test_what_is_safe_is_let_be():
    safe = "np.load(file, allow_pickle=False); yaml.safe_load(text); subprocess.run([program]); re.compile(text)"
    assert not unsafe(ast.parse(safe))
