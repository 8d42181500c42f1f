"""Who may read what is published: the umask says it, whatever a library or a copy gave a file."""

import json
import os
import shutil
import stat
import subprocess
import sys
import tempfile
import traceback
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from catalog.bundle.disk import follow_umask, plain_mode
from catalog.bundle.folder import publish
from tests.catalog.bundle.test_bundle import manifest
from trainer.gems.nullspace.cache import save_null_spaces
from trainer.runtime.checkpoint import save_checkpoint

OTHER = 12345
UMASKS = [0o022, 0o027, 0o077, 0o002]

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root may become somebody else")


@pytest.fixture(params=UMASKS, ids=oct)
def umask(request):
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


@pytest.fixture
def outside():
    """A folder that everybody may enter, as pytest's own are their owner's alone."""
    folder = Path(tempfile.mkdtemp(prefix="gemserve-modes-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


def fill(draft):
    """Weights as safetensors writes them, a file by mkstemp, a copied file of mode 0400, a private folder, a link."""
    (draft / "model").mkdir(mode=0o700)
    save_file({"weight": torch.zeros(3)}, draft / "model/model.safetensors")
    (draft / "model/config.json").write_text("{}")
    handle, name = tempfile.mkstemp(dir=draft)
    os.close(handle)
    Path(name).rename(draft / "report.json")
    (draft / "source").write_text("x")
    (draft / "source").chmod(0o400)
    shutil.copy(draft / "source", draft / "copied")
    (draft / "executable").write_text("x")
    (draft / "executable").chmod(0o755)


def modes(folder):
    return {path: stat.S_IMODE(path.stat().st_mode) for path in [folder, *folder.rglob("*")]}


def test_a_published_bundle_has_the_modes_of_the_umask(tmp_path, umask):
    for path, mode in modes(publish(tmp_path / "bundles", manifest(), fill)).items():
        assert oct(mode) == oct((0o777 if path.is_dir() else 0o666) & ~umask), path


def test_caches_and_checkpoints_of_the_trainer_have_them_too(tmp_path, umask):
    save_null_spaces({}, tmp_path / "cache/spaces.safetensors")
    save_checkpoint(tmp_path / "checkpoint", {"step": 1, "weight": torch.zeros(3)})
    for folder in ("cache", "checkpoint"):
        for path, mode in modes(tmp_path / folder).items():
            assert oct(mode) == oct((0o777 if path.is_dir() else 0o666) & ~umask), path


def test_the_group_bit_of_a_folder_stays_and_a_link_is_left_alone(tmp_path):
    folder, elsewhere = tmp_path / "shared", tmp_path / "elsewhere"
    folder.mkdir()
    folder.chmod(0o2700)
    (folder / "plain").touch()
    elsewhere.touch()
    elsewhere.chmod(0o400)
    (folder / "link").symlink_to(elsewhere)
    follow_umask(folder, like=folder / "plain")
    assert folder.stat().st_mode & stat.S_ISGID
    assert stat.S_IMODE(elsewhere.stat().st_mode) == 0o400


def test_a_plain_mode_is_that_of_a_new_file_though_a_library_replaces_it(tmp_path, umask):
    with plain_mode(tmp_path / "file"):
        handle, name = tempfile.mkstemp(dir=tmp_path)
        os.close(handle)
        Path(name).replace(tmp_path / "file")
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o666 & ~umask


NAMES = """
import catalog.data.items, catalog.data.tombstones, catalog.importers.__main__, catalog.importers.shop.store
import server.auth.key_file, server.core.settings.yaml_file
from catalog.bundle.bundle import open_bundle
from catalog.bundle.folder import current_bundle
from catalog.errors import CatalogError
from server.core.errors import ServerError
from server.core.settings.server import Settings
"""
"""What the code of another user's process knows; imported before it becomes that user's."""


def by_another(code, path):
    """Runs code in a forked process of another user's: the interpreter and its libraries may lie in root's home."""
    known = {"path": path, "sys": sys}
    exec(NAMES, known)
    with tempfile.TemporaryFile("w+") as output, tempfile.TemporaryFile("w+") as errors:
        child = os.fork()
        if child == 0:
            status = 1
            try:
                os.dup2(output.fileno(), 1)
                os.dup2(errors.fileno(), 2)
                sys.stdout, sys.stderr = os.fdopen(1, "w"), os.fdopen(2, "w")
                os.setgroups([])
                os.setgid(OTHER)
                os.setuid(OTHER)
                exec(code, known)
                status = 0
            except SystemExit as ended:
                status = ended.code
            except BaseException:
                traceback.print_exc()
            finally:
                sys.stdout.flush()
                sys.stderr.flush()
                os._exit(status)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        output.seek(0)
        errors.seek(0)
        return subprocess.CompletedProcess([], status, output.read(), errors.read())


@as_root
def test_another_user_opens_a_bundle_that_was_published_with_the_usual_umask(outside):
    before = os.umask(0o022)
    try:
        publish(outside, manifest(), fill)
    finally:
        os.umask(before)
    ended = by_another("open_bundle(current_bundle(path))", outside)
    assert ended.returncode == 0, ended.stderr


@as_root
@pytest.mark.parametrize("verify", [True, False])
@pytest.mark.parametrize(
    ("part", "named"),
    [
        ("v1/model/model.safetensors", "model.safetensors"),
        ("v1/manifest.json", "manifest.json"),
        ("v1/model", "v1/model/"),
        ("v1", "v1/manifest.json"),
        ("", "current"),
    ],
)
def test_a_part_of_a_bundle_that_this_user_may_not_read_is_named_with_a_remedy(outside, part, named, verify):
    publish(outside / "bundles", manifest(), fill)
    (outside / "bundles" / part).chmod(0)
    code = f"""
try:
    open_bundle(current_bundle(path), verify={verify})
except CatalogError as error:
    print(error)
"""
    ended = by_another(code, outside / "bundles")
    assert named in ended.stdout, ended.stderr
    assert "Permission denied" in ended.stdout
    assert f"give user {OTHER}" in ended.stdout


@as_root
@pytest.mark.parametrize(
    ("name", "content", "call"),
    [
        ("events.jsonl", "{}", "catalog.data.tombstones.read_kept_events([path], [])"),
        ("events.parquet", "PAR1", "catalog.data.tombstones.read_kept_events([path], [])"),
        ("items.jsonl", "{}", "catalog.data.items.read_items(path)"),
        ("events.erased.json", "[]", "catalog.data.tombstones.read_tombstones(path)"),
        ("keys.json", "[]", "server.auth.key_file.read(path)"),
        ("gemserve.yaml", "port: 1", "server.core.settings.yaml_file.settings_in(path, Settings)"),
    ],
)
def test_a_file_that_this_user_may_not_read_is_an_error_of_our_own(outside, name, content, call):
    file = outside / name
    file.write_text(content)
    file.chmod(0)
    code = f"""
try:
    {call}
except (CatalogError, ServerError) as error:
    print(error)
"""
    ended = by_another(code, file)
    assert str(file) in ended.stdout, ended.stderr
    assert "Permission denied" in ended.stdout
    assert f"user {OTHER}" in ended.stdout


@as_root
def test_an_import_says_which_file_and_folder_it_may_not_use(outside):
    (outside / "items.jsonl").write_text(json.dumps({"item_id": "1", "title": "One"}))
    (outside / "events.jsonl").write_text("")
    (outside / "items.jsonl").chmod(0)
    words = ["jsonl", str(outside), str(outside / "out")]
    for refused in ("items.jsonl", "out"):
        ended = by_another(f"sys.exit(catalog.importers.__main__.main({words}))", outside)
        assert (ended.returncode, ended.stderr[:7]) == (2, "error: "), ended.stderr
        assert str(outside / refused) in ended.stderr
        assert f"user {OTHER}" in ended.stderr
        words = ["shop", "--products", "200", "--shoppers", "30", "--events", "600", str(outside / "out")]
