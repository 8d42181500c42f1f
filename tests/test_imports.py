"""Imports point one way: trainer → catalog ← server, and inside each from top to bottom of its layers.

Only server/engine/vllm knows vLLM; clients know HTTP alone.
"""

import ast
from collections import defaultdict
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

from tests.support.paths import ROOT

FORBIDDEN = {
    "catalog": {"trainer", "server", "clients", "loadtest", "vllm", "fastapi", "redis"},
    "trainer": {"server", "clients", "loadtest", "vllm", "fastapi", "redis"},
    "server": {"trainer", "clients", "loadtest"},
    "clients": {"catalog", "trainer", "server", "loadtest", "torch", "vllm"},
    "loadtest": {"tests"},
    "gemserve": {"trainer", "server", "clients", "loadtest", "torch", "vllm", "fastapi", "redis"},
}

LAYERS = {
    "catalog": (
        "errors terminal_escapes nearest data filters facets ids text suggestions search"
        " priors snapshot bundle drained importers"
    ),
    "trainer": "core config distributed data model gems methods evaluation runtime pipeline run analysis",
    "server": "core storage engine retrieval serving query analytics auth api app cli __main__",
    "gemserve": "caches child command __main__",
}
"""The parts of each package, the lowest first: a part imports only those before it."""

MAX_ENTRIES = 12
WIDE = {
    "catalog": "one folder for each part, and the few modules on which all of them stand",
    "loadtest": "one name for each benchmark's command",
    "catalog/importers/shop": "one invented shop: its generator and the word lists beside it",
    "server/api/static/shop": "the page, whose parts a browser loads by name",
}
"""Folders of source with more entries than MAX_ENTRIES, and why."""


def sources(package: str) -> list[Path]:
    return sorted((ROOT / package).rglob("*.py"))


def module_of(file: Path) -> str:
    return ".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


MODULES = {module_of(file): file for package in LAYERS for file in sources(package)}


def imported_modules(file: Path) -> set[str]:
    """The project's own modules that a file imports, wherever in it."""
    names = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            members = {f"{node.module}.{alias.name}" for alias in node.names}
            names |= members & MODULES.keys() or {node.module}
    return names & MODULES.keys()


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


def part_of(module: str) -> str:
    """The part of its package that a module belongs to; empty for the package itself."""
    return module.partition(".")[2].partition(".")[0]


@pytest.mark.parametrize("package", LAYERS)
def test_parts_import_only_what_lies_below_them(package):
    order = LAYERS[package].split()
    parts = {part_of(module) for module in MODULES if module.startswith(f"{package}.")}
    assert parts == set(order), "name every part of the package in LAYERS, in its place"
    offences = []
    for module, file in MODULES.items():
        part = part_of(module)
        for other in imported_modules(file):
            if part and module.startswith(package) and other.startswith(f"{package}.") and part_of(other) != part:
                offences += [f"{module} → {other}"] if order.index(part_of(other)) > order.index(part) else []
    assert not offences


def test_no_modules_import_each_other_in_a_circle():
    graph = defaultdict(set, {module: imported_modules(file) - {module} for module, file in MODULES.items()})
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(f"a circle of imports: {' → '.join(error.args[1])}")


@pytest.mark.parametrize("package", [*LAYERS, "loadtest", "clients/python"])
def test_no_folder_is_wide_without_a_reason(package):
    folders = {file.parent for file in sources(package)}
    wide = {}
    for folder in folders:
        entries = {entry.name for entry in folder.iterdir()} - {"__init__.py", "__pycache__"}
        if len(entries) > MAX_ENTRIES and str(folder.relative_to(ROOT)) not in WIDE:
            wide[str(folder.relative_to(ROOT))] = len(entries)
    assert not wide


@pytest.mark.parametrize("package", [*LAYERS, "loadtest"])
def test_every_package_says_what_it_is(package):
    silent = [
        str(file.relative_to(ROOT))
        for file in sources(package)
        if file.name == "__init__.py" and not ast.get_docstring(ast.parse(file.read_text(encoding="utf-8")))
    ]
    assert not silent


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
