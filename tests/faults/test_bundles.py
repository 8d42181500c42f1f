"""Bundles are whole or not there: processes killed while they publish, full disks, damaged bytes, two at once."""

import errno
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest

from catalog.bundle.bundle import open_bundle
from catalog.bundle.disk import disk_full_reason
from catalog.bundle.folder import activate, current_bundle, publish, published_versions
from catalog.data.events import read_events
from catalog.errors import BundleError, VersionTaken
from tests.faults.file_system import NEW, OLD, at, fill, manifest, watched
from tests.support import world
from tests.support.server_process import ServerProcess
from trainer.config.recipe import Recipe
from trainer.data.histories import Histories
from trainer.data.splits import leave_one_out
from trainer.runtime import publish as trainer_publish
from trainer.runtime.workspace import Workspace

AGAIN = "20260103-000000"
ACTIVATIONS = 200


def whole(bundles: Path) -> tuple[list[str], str]:
    """The versions that are there, all of which open, and the current one."""
    versions = published_versions(bundles)
    for version in versions:
        open_bundle(bundles / version)
    return versions, open_bundle(current_bundle(bundles)).version


def hidden(bundles: Path) -> list[str]:
    return sorted(path.name for path in bundles.glob(".[!t]*"))  # .training is of the trainer


@pytest.fixture
def bundles(published: Path, tmp_path: Path) -> Path:
    """Two trained bundles, to be damaged."""
    return Path(shutil.copytree(published, tmp_path / "bundles", symlinks=True))


def test_a_publisher_killed_before_any_of_its_calls_leaves_whole_bundles(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.faults.file_system", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    kills = int(done.stdout)
    seen = []
    for number in range(1, kills + 1):
        folder = tmp_path / str(number)
        seen.append(whole(folder))
        publish(folder, manifest(AGAIN), fill)
        assert whole(folder) == ([*seen[-1][0], AGAIN], AGAIN)
        left = [name for name in hidden(folder) if not name.startswith((".new-", ".current-"))]
        assert left == [], "only an empty folder or a link may stay"
    stages = [([OLD], OLD), ([OLD, NEW], OLD), ([OLD, NEW], NEW)]
    assert set(map(str, seen)) == set(map(str, stages))
    assert seen == sorted(seen, key=stages.index), "nothing that was seen is taken back"


def test_a_disk_that_is_full_at_any_call_leaves_whole_bundles_and_no_draft(tmp_path: Path) -> None:
    number, refused, reasons = 0, [0], []
    while refused[-1] == number:
        number += 1
        folder = tmp_path / str(number)
        publish(folder, manifest(OLD), fill)

        def refuse(number: int = number) -> None:
            refused.append(number)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        try:
            with watched(at(number, refuse)):
                publish(folder, manifest(NEW), fill)
        except (OSError, BundleError) as error:
            reasons.append(disk_full_reason(error))
            assert whole(folder) in [([OLD], OLD), ([OLD, NEW], OLD), ([OLD, NEW], NEW)]
        assert hidden(folder) == []
    assert whole(folder) == ([OLD, NEW], NEW), "no call is left to refuse"
    assert len(reasons) > 30
    assert set(reasons) == {"No space left on device"}


def test_what_a_rename_shows_is_on_the_disk_before_it_and_the_rename_after(tmp_path: Path) -> None:
    publish(tmp_path, manifest(OLD), fill)
    calls: list[tuple[str, str]] = []
    with watched(lambda call, path: calls.append((call, path))):
        final = publish(tmp_path, manifest(NEW), fill)
    draft = tmp_path / f".draft-{NEW}"
    shown = calls.index(("rename", str(draft)))
    for path in [final, *final.rglob("*")]:
        name = str(draft / path.relative_to(final))
        synced = calls.index(("fsync", name))
        assert synced < shown
        assert ("write", name) not in calls[synced:]
    switched = next(place for place, (call, _) in enumerate(calls) if call == "replace")
    assert ("fsync", str(tmp_path)) in calls[shown:switched]
    assert ("fsync", str(tmp_path)) in calls[switched:]


@pytest.mark.parametrize("place", ["first", "middle", "last"])
def test_one_changed_byte_in_any_file_is_refused_and_named(bundles: Path, place: str) -> None:
    bundle = current_bundle(bundles)
    names = [path for path in bundle.rglob("*") if path.is_file()]
    assert {str(path.relative_to(bundle)) for path in names} == {
        *open_bundle(bundle).manifest.files,
        "manifest.json",
    }
    for file in names:
        content = file.read_bytes()
        position = {"first": 0, "middle": len(content) // 2, "last": len(content) - 1}[place]
        file.write_bytes(content[:position] + bytes([content[position] ^ 1]) + content[position + 1 :])
        with pytest.raises(BundleError, match=file.name):
            open_bundle(bundle)
        file.write_bytes(content)
    open_bundle(bundle)


def says_the_same(content: bytes, changed: bytes) -> bool:
    try:
        return bool(json.loads(content) == json.loads(changed))
    except ValueError:  # such as truE
        return False


def test_one_changed_bit_anywhere_in_the_manifest_is_refused(bundles: Path) -> None:
    file = current_bundle(bundles) / "manifest.json"
    content = file.read_bytes()
    for position in range(0, len(content), 11):
        flipped = content[position] ^ (1 << position % 8)
        changed = content[:position] + bytes([flipped]) + content[position + 1 :]
        if (content[position : position + 1] + bytes([flipped])).lower() == b"ee" and says_the_same(content, changed):
            continue  # 1E-5 is 1e-5
        file.write_bytes(changed)
        with pytest.raises(BundleError, match=r"manifest\.json|is missing"):
            open_bundle(file.parent)


@pytest.mark.parametrize("cut", [0, 1, -2])
def test_a_cut_manifest_is_refused(bundles: Path, cut: int) -> None:
    file = current_bundle(bundles) / "manifest.json"
    file.write_bytes(file.read_bytes()[:cut])
    with pytest.raises(BundleError, match=r"manifest\.json is not valid JSON.*restore it or publish again"):
        open_bundle(file.parent)


@pytest.mark.parametrize(("schema", "advice"), [(0, "publish it again with this code"), (2, "with newer code")])
def test_another_schema_says_which_code_to_use(bundles: Path, schema: int, advice: str) -> None:
    file = current_bundle(bundles) / "manifest.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"schema_version": schema}))
    with pytest.raises(BundleError, match=f"has schema {schema}, this version reads 1: .*{advice}"):
        open_bundle(file.parent)


@pytest.mark.parametrize("name", ["model/modeling_own.py", "catalog/index/extra.npy", "notes"])
def test_a_file_that_is_not_listed_is_refused(bundles: Path, name: str) -> None:
    bundle = current_bundle(bundles)
    (bundle / name).write_text("anything")
    with pytest.raises(BundleError, match=f"{name} is not in the manifest.*remove it"):
        open_bundle(bundle)


def test_a_current_that_leads_nowhere_or_outside_is_refused(bundles: Path, tmp_path: Path) -> None:
    link = bundles / "current"
    version = link.readlink()
    outside = Path(shutil.copytree(bundles / version, tmp_path / "outside" / version))
    for target in ("nowhere", str(outside), str(bundles.parent)):
        link.unlink()
        link.symlink_to(target)
        with pytest.raises(BundleError, match=r"current .*ln -sfn VERSION current"):
            current_bundle(bundles)
    link.unlink()
    shutil.copytree(outside, link)
    with pytest.raises(BundleError, match=r"must be a link to a bundle.*ln -sfn VERSION current"):
        current_bundle(bundles)


def test_processes_that_activate_at_once_leave_current_whole_at_every_moment(tmp_path: Path) -> None:
    for version in (OLD, NEW):
        publish(tmp_path, manifest(version), fill)
    code = "import sys, pathlib; from catalog.bundle.folder import activate\n"
    code += f"for _ in range({ACTIVATIONS}): [activate(pathlib.Path(sys.argv[1]), v) for v in sys.argv[2:]]"
    orders = [(OLD, NEW), (NEW, OLD), (OLD, NEW)]
    processes = [subprocess.Popen([sys.executable, "-c", code, str(tmp_path), *order]) for order in orders]
    seen = set()
    while any(process.poll() is None for process in processes):
        seen.add(current_bundle(tmp_path).name)
    assert [process.returncode for process in processes] == [0, 0, 0]
    assert seen == {OLD, NEW}
    assert whole(tmp_path)[0] == [OLD, NEW]
    assert hidden(tmp_path) == []


def test_a_name_that_another_process_is_publishing_is_taken_until_it_dies(tmp_path: Path) -> None:
    code = (
        "import sys, pathlib, time; from catalog.bundle.folder import publish; from tests.faults.file_system import *\n"
    )
    code += "def slow(draft): fill(draft); print('filled', flush=True); time.sleep(600)\n"
    code += "publish(pathlib.Path(sys.argv[1]), manifest(NEW), slow)"
    command = [sys.executable, "-c", code, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as other, ExitStack() as kill_it:
        kill_it.callback(other.kill)
        assert other.stdout is not None
        assert other.stdout.readline() == "filled\n"
        with pytest.raises(VersionTaken, match="is being written by another process"):
            publish(tmp_path, manifest(NEW), lambda draft: pytest.fail("filled a draft that is another's"))
        publish(tmp_path, manifest(OLD), fill)
        assert hidden(tmp_path) == [f".draft-{NEW}"], "a draft that is being written stays"
    publish(tmp_path, manifest(NEW), fill)
    assert whole(tmp_path) == ([OLD, NEW], NEW)
    assert hidden(tmp_path) == []


@pytest.fixture
def frozen(monkeypatch: pytest.MonkeyPatch) -> datetime:
    now = datetime(2026, 2, 3, 4, 5, 6, tzinfo=UTC)
    monkeypatch.setattr(trainer_publish, "datetime", SimpleNamespace(now=lambda zone: now))
    return now


def test_two_trainers_that_publish_in_the_same_second_both_do(bundles: Path, tmp_path: Path, frozen: datetime) -> None:
    bundle = open_bundle(current_bundle(bundles))
    files = world.write_world(tmp_path / "world")
    root = tmp_path / "work"
    shutil.copytree(bundle.catalog_dir, root / "catalog", ignore=shutil.ignore_patterns("priors"))
    shutil.copy(bundle.path / "training.jsonl", root)
    workspace = Workspace(root, dict.fromkeys(files, "0" * 64))
    paths: list[Path] = []

    def save(folder: Path) -> None:
        if len(hidden(bundles)) == 1:
            publish_one()  # from beginning to end while the first is at it
        shutil.copytree(bundle.model_dir, folder)

    backbone: Any = SimpleNamespace(is_seq2seq=False, name="tiny", save=save)
    split = leave_one_out(Histories.from_events(read_events(files[1])[0], bundle.items))
    report = json.loads((bundle.path / "report.json").read_text())
    recipe = Recipe.model_validate(bundle.manifest.settings)
    inputs = dict(zip(("items", "events"), files, strict=True))

    def publish_one() -> None:
        run = (backbone, workspace, split, report, recipe, (8, 8), inputs)
        paths.append(trainer_publish.publish_run(bundles, *run))

    publish_one()
    assert sorted(path.name for path in paths) == ["20260203-040506", "20260203-040506-2"]
    for path in paths:
        assert open_bundle(path).version == path.name
        assert (path / "README.md").read_text().startswith(f"# {path.name}\n")
    assert current_bundle(bundles) in paths
    assert hidden(bundles) == []


@pytest.fixture
def server(bundles: Path, tmp_path: Path) -> Iterator[ServerProcess]:
    process = ServerProcess(
        *("--bundles", bundles, "--port", "0", "--managed-redis", tmp_path / "redis", "--open-admin", "true"),
        *("--engine.kv-cache-bytes", str(64 << 20), "--log-level", "error"),
    )
    yield process
    process.stop()


@pytest.mark.integration
@pytest.mark.slow
def test_a_damaged_bundle_is_not_activated_and_the_running_model_answers_on(
    bundles: Path, server: ServerProcess
) -> None:
    served = current_bundle(bundles).name
    (other,) = set(published_versions(bundles)) - {served}
    files = ["model/model.safetensors", "model/tokenizer.json", "catalog/codes.npy", "catalog/items.parquet"]
    files += [f"catalog/index/{file.name}" for file in (bundles / other / "catalog/index").iterdir()]
    files += [f"catalog/priors/{file.name}" for file in (bundles / other / "catalog/priors").iterdir()]
    files += ["catalog/golden.json", "catalog/prior_weights.json", "manifest.json"]
    with httpx.Client(base_url=server.url, timeout=120) as client:
        for name in files:
            file = bundles / other / name
            content = file.read_bytes()
            file.write_bytes(content[:-9] + bytes([content[-9] ^ 1]) + content[-8:])
            refused = client.post(f"/admin/models/{other}/activate")
            assert refused.status_code == 409, refused.text
            assert file.name in refused.json()["detail"]
            assert current_bundle(bundles).name == served
            assert client.get("/search", params={"q": "red tent"}).json()["model"] == served
            file.write_bytes(content)
        taken = client.post(f"/admin/models/{other}/activate")
        assert taken.status_code == 200, taken.text
        assert client.get("/search", params={"q": "red tent"}).json()["model"] == other
        activate(bundles, served)  # as a trainer or another server beside it does
        assert client.get("/search", params={"q": "red tent"}).json()["model"] == other
        assert client.post(f"/admin/models/{other}/activate").status_code == 200
    assert current_bundle(bundles).name == other
