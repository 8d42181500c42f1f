"""Caches on machines where home and code cannot be written: a folder of our own, which nobody else can write."""

import os
import shutil
import tempfile
from pathlib import Path

import pytest

from gemserve.caches import VARIABLE, CachesError, choose_caches
from tests.support.another_user import OTHER, as_root, environment_of_another, open_folder, run_by_another
from tests.support.paths import ROOT

PACKAGES = ("catalog", "gemserve", "server", "trainer")
NEVER_WRITABLE = Path("/proc/self")  # root may write anywhere else


@pytest.fixture
def nowhere(tmp_path, monkeypatch):
    """A home and code that cannot be written, and a temporary folder that can."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setenv("HOME", str(NEVER_WRITABLE))
    return tmp_path


def chosen(**variables):
    return choose_caches(variables, NEVER_WRITABLE)


def test_a_machine_whose_places_can_be_written_needs_nothing(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USER", "somebody")
    assert choose_caches({}, tmp_path) is None
    assert choose_caches({}, NEVER_WRITABLE) is None  # numba takes the home


def test_every_library_gets_a_folder_of_its_own_in_one_of_ours(nowhere):
    caches = chosen()
    assert caches.folder == nowhere / f"gemserve-caches-{os.geteuid()}"
    assert caches.folder.stat().st_mode & 0o777 == 0o700
    assert {"NUMBA_CACHE_DIR", "VLLM_CACHE_ROOT", "XDG_CACHE_HOME", "HF_HOME", "MPLCONFIGDIR"} <= {*caches.variables}
    assert {"TRITON_CACHE_DIR", "TRITON_HOME", "XDG_CONFIG_HOME", "CUDA_CACHE_PATH"} <= {*caches.variables}
    folders = [Path(value) for value in caches.variables.values()]
    assert {folder.parent for folder in folders} == {caches.folder}
    assert len({*folders}) == len(folders)
    assert chosen() == caches  # a second process of this user


def test_what_the_operator_set_stays(nowhere):
    caches = chosen(NUMBA_CACHE_DIR="/mine", HF_HOME="/models", XDG_CACHE_HOME=str(nowhere))
    assert not {"NUMBA_CACHE_DIR", "HF_HOME", "XDG_CACHE_HOME", "VLLM_CACHE_ROOT"} & {*caches.variables}
    assert "TRITON_CACHE_DIR" in caches.variables


def test_models_that_a_home_holds_are_read_there(nowhere, tmp_path, monkeypatch):
    cache = tmp_path / "cache"
    (cache / "huggingface").mkdir(parents=True)
    monkeypatch.setattr("gemserve.caches._writable", lambda folder: folder.name.startswith("gemserve-caches"))
    assert "HF_HOME" not in chosen(XDG_CACHE_HOME=str(cache)).variables


def test_the_operator_names_a_place_which_all_caches_take(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    caches = choose_caches({VARIABLE: str(tmp_path / "made/here")}, tmp_path)
    assert caches.folder == tmp_path / "made/here" / f"gemserve-caches-{os.geteuid()}"
    assert "NUMBA_CACHE_DIR" in caches.variables


def link(folder):
    folder.symlink_to(folder.parent / "elsewhere")


def link_to_a_folder(folder):
    (folder.parent / "elsewhere").mkdir()
    link(folder)


def file(folder):
    folder.touch()


def anybodys(folder):
    folder.mkdir()
    folder.chmod(0o777)


def the_groups(folder):
    folder.mkdir()
    folder.chmod(0o770)


def another_users(folder):
    folder.mkdir(mode=0o700)
    os.chown(folder, OTHER, OTHER)


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (link, "is a symbolic link"),
        (link_to_a_folder, "is a symbolic link"),
        (file, "is no folder"),
        (anybodys, "can be written by others"),
        (the_groups, "can be written by others"),
        pytest.param(another_users, f"belongs to user {OTHER}", marks=as_root),
    ],
)
def test_a_folder_that_somebody_else_made_is_refused_with_a_remedy(nowhere, make, reason):
    make(nowhere / f"gemserve-caches-{os.geteuid()}")
    with pytest.raises(CachesError, match=reason) as raised:
        chosen()
    assert f"remove it, or set {VARIABLE}" in str(raised.value)


@pytest.mark.parametrize("named", ["/proc/self", "/proc/self/made", "/dev/null/made"])
def test_a_place_that_cannot_be_used_is_refused(named):
    with pytest.raises(CachesError, match=VARIABLE):
        chosen(**{VARIABLE: named})


@pytest.fixture(scope="module")
def outside():
    """Of a folder that everybody may enter a copy of the code, which only root may write."""
    with open_folder() as folder:
        for package in PACKAGES:
            shutil.copytree(ROOT / package, folder / package, ignore=shutil.ignore_patterns("__pycache__"))
        yield folder


@pytest.fixture
def temporary():
    with open_folder(0o1777) as folder:
        yield folder


def by_another(outside, temporary, *words):
    return run_by_another(*words, environment=environment_of_another(temporary, PYTHONPATH=str(outside)))


@as_root
def test_kernels_compile_for_a_user_without_a_home_whose_code_is_read_only(outside, temporary):
    code = """
import os
import catalog.priors.kernels.compiled as kernels
assert kernels.__file__.startswith(os.environ["PYTHONPATH"]), kernels.__file__
print(kernels.hash_bits(10))
"""
    ended = by_another(outside, temporary, "-c", code)
    assert (ended.returncode, ended.stdout) == (0, "5\n"), ended.stderr
    kept = temporary / f"gemserve-caches-{OTHER}"
    assert kept.stat().st_uid == OTHER
    assert list(kept.glob("numba/*/*.nbc"))


@as_root
@pytest.mark.parametrize(
    "words",
    [
        ("gemserve", "--help"),
        ("gemserve", "import", "--help"),
        ("server", "--help"),
    ],
)
def test_help_needs_no_home_and_leaves_nothing_outside_of_its_folder(outside, temporary, words):
    before = {*outside.rglob("*")}
    ended = by_another(outside, temporary, "-m", *words)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout.startswith("usage: ")
    assert {*outside.rglob("*")} == before
    assert {file.name for file in temporary.iterdir()} <= {f"gemserve-caches-{OTHER}"}


@as_root
def test_a_program_without_any_place_says_so_in_one_line(outside, temporary):
    (temporary / f"gemserve-caches-{OTHER}").symlink_to("/tmp")
    ended = by_another(outside, temporary, "-c", "import server.__main__")
    assert ended.returncode == 2
    assert ended.stdout == ""
    assert ended.stderr.startswith("gemserve: ")
    assert VARIABLE in ended.stderr
    assert len(ended.stderr.splitlines()) == 1
