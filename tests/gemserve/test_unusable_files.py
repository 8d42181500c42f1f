"""Files that programs are given and cannot use: one line in the program's name that names the file, exit status 2."""

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from catalog.bundle.bundle import open_bundle
from catalog.errors import BundleError
from tests.support.another_user import as_root, environment_of_another, open_folder, run_by_another
from tests.support.paths import ROOT
from tests.support.processes import run
from tests.support.trained import Trained

ITEMS = {"item_id": ["a", "b"], "title": ["Tent", "Rope"]}
EVENTS = {"user_id": ["u"] * 2, "item_id": ["a", "b"], "timestamp": [1_763_640_000_000] * 2, "type": ["view"] * 2}

Program = Callable[[Path], tuple[str | Path, ...]]


def importer(folder: Path) -> tuple[str | Path, ...]:
    return "-m", "catalog.importers", "jsonl", folder, folder / "out"


def trainer(folder: Path) -> tuple[str | Path, ...]:
    files = ("--items", folder / "items.parquet", "--events", folder / "events.parquet")
    return ROOT / "trainer" / "run.py", *files, "--out", folder / "out", "--recipe", "demo", "training.steps=1"


def server(folder: Path) -> tuple[str | Path, ...]:
    return (
        *("-m", "server", "--port", "0", "--config", folder / "gemserve.yaml"),
        *("--keys", folder / "keys.json", "--bundles", folder / "bundles"),
    )


PROGRAMS: dict[Program, tuple[str, str]] = {
    importer: ("error: ", "server"),
    trainer: ("trainer: ", "trainer"),
    server: ("gemserve: ", "server"),
}
"""What each begins its errors with, and the fork server that has imported what it needs."""


@pytest.fixture
def folder() -> Iterator[Path]:
    with open_folder() as made:
        pq.write_table(pa.table(ITEMS), made / "items.parquet")
        pq.write_table(pa.table(EVENTS), made / "events.parquet")
        (made / "gemserve.yaml").write_text("log_level: warning\n")
        (made / "keys.json").write_text('{"format": 1, "keys": []}')
        (made / "keys.json").chmod(0o600)
        (made / "bundles").mkdir()
        yield made


def assert_refused(ended: "subprocess.CompletedProcess[str]", prefix: str, named: str) -> None:
    assert ended.returncode == 2, ended
    assert "Traceback" not in ended.stderr + ended.stdout, ended.stderr
    said = [line for line in ended.stderr.splitlines() if line.startswith(prefix) and "caches are kept" not in line]
    assert len(said) == 1, ended.stderr
    assert named in said[0]


def directory(path: Path) -> None:
    path.unlink() if path.is_file() else path.rmdir()
    path.mkdir()


def empty(path: Path) -> None:
    path.write_bytes(b"")


def truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-9])


def cut_early(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:7])


def bytes_of_an_image(path: Path) -> None:
    path.write_bytes(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR")


def missing(path: Path) -> None:
    path.unlink()


def link_to_itself(path: Path) -> None:
    path.unlink()
    path.symlink_to(path)


def link_to_nothing(path: Path) -> None:
    path.unlink()
    path.symlink_to("/nowhere")


SPOILT = (directory, empty, truncated, cut_early, bytes_of_an_image, missing, link_to_itself, link_to_nothing)
GIVEN = {
    importer: ("items.parquet", "events.parquet"),
    trainer: ("items.parquet", "events.parquet"),
    server: ("gemserve.yaml", "keys.json"),
}
CASES = [
    pytest.param(program, name, spoil, id=f"{program.__name__}-{name}-{spoil.__name__}")
    for program, names in GIVEN.items()
    for name in names
    for spoil in SPOILT
    if (name, spoil) != ("gemserve.yaml", empty)
    and (program, spoil) != (server, truncated)
    and (program is not trainer or spoil in {directory, truncated, missing, link_to_itself})
]
"""A settings file may be empty, and what is left of a truncated one may be whole; the trainer reads as importers do."""


@pytest.mark.parametrize(("program", "name", "spoil"), CASES)
def test_a_file_that_is_none_of_its_kind(
    folder: Path, program: Program, name: str, spoil: Callable[[Path], None]
) -> None:
    spoil(folder / name)
    prefix, imported = PROGRAMS[program]
    ended = run(*program(folder), imported=imported, folder=ROOT)
    assert_refused(ended, prefix, "items" if name.startswith("items") else name.partition(".")[0])
    assert [*(folder / "out").glob("[!.]*")] == []


@pytest.mark.parametrize("program", [importer, trainer], ids=lambda program: program.__name__)
def test_a_file_where_the_folder_to_write_to_should_be(folder: Path, program: Program) -> None:
    (folder / "out").write_text("")
    prefix, imported = PROGRAMS[program]
    assert_refused(run(*program(folder), imported=imported, folder=ROOT), prefix, str(folder / "out"))


@pytest.mark.parametrize("name", ["items", "events"])
@pytest.mark.parametrize("text", ["", "\n\n", "[]", "{}", "null", "\ufeff"])
def test_lines_without_a_record(folder: Path, name: str, text: str) -> None:
    (folder / f"{name}.parquet").unlink()
    (folder / f"{name}.jsonl").write_text(text)
    assert_refused(run(*importer(folder), folder=ROOT), "error: ", name)


def bundle_of(trained: Trained, folder: Path) -> Path:
    (folder / "bundles").rmdir()
    source = trained.folder(())
    subprocess.run(["cp", "-r", source, folder / "bundles"], check=True)
    return (folder / "bundles" / "current").resolve()


@pytest.mark.parametrize("spoil", [directory, empty, missing])
@pytest.mark.parametrize("file", ["manifest.json", "catalog/items.parquet", "model/config.json"])
def test_a_bundle_with_a_file_that_is_none_of_its_kind(
    folder: Path, trained: Trained, spoil: Callable[[Path], None], file: str
) -> None:
    bundle = bundle_of(trained, folder)
    spoil(bundle / file)
    (folder / "keys.json").unlink()
    words = ("-m", "server", "--port", "0", "--bundles", folder / "bundles")
    assert_refused(run(*words, folder=ROOT), "gemserve: ", str(bundle.name))


def test_an_opened_bundle_that_links_to_itself(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    with pytest.raises(BundleError, match=r"loop/manifest\.json cannot be read \(Too many levels of symbolic links\)"):
        open_bundle(tmp_path / "loop")


@pytest.mark.parametrize("spoil", [empty, missing])
def test_bundles_that_are_no_folder(folder: Path, spoil: Callable[[Path], None]) -> None:
    (folder / "bundles").rmdir()
    (folder / "bundles").touch()
    spoil(folder / "bundles")
    words = ("-m", "server", "--port", "0", "--bundles", folder / "bundles")
    assert_refused(run(*words, folder=ROOT), "gemserve: ", str(folder / "bundles"))


@as_root
@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.__name__)
def test_a_file_that_its_user_may_not_read(folder: Path, program: Program) -> None:
    """Mode 000 keeps out everybody but root, who may read all."""
    name = GIVEN[program][0]
    (folder / name).chmod(0)
    folder.chmod(0o1777)
    with open_folder(0o1777) as temporary:
        ended = run_by_another(*program(folder), environment=environment_of_another(temporary), reading=False)
    assert_refused(ended, PROGRAMS[program][0], name)
    assert "12345" in ended.stderr
