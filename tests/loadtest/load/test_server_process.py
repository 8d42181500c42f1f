"""Where the server under load comes from."""

import json
from pathlib import Path

import pytest
from redis import Redis

from catalog.bundle.folder import activate, current_bundle, published_versions
from loadtest.load import __main__ as load
from loadtest.load.redis_size import RedisSize
from loadtest.load.server_process import copy_bundle_twice
from server.storage.managed_redis import free_port, managed_redis


def test_a_twin_is_the_current_bundle_under_another_name(tmp_path: Path):
    for version in ("a", "b"):
        (tmp_path / version / "model").mkdir(parents=True)
        (tmp_path / version / "model" / "weights").write_text(version)
        (tmp_path / version / "manifest.json").write_text(json.dumps({"version": version, "files": {"x": "0"}}))
    activate(tmp_path, "b")
    (tmp_path / "twins").mkdir()
    bundles = copy_bundle_twice(tmp_path, tmp_path / "twins")
    assert published_versions(bundles) == ["b", "b-twin"]
    assert current_bundle(bundles).name == "b"
    for version in ("b", "b-twin"):
        manifest = json.loads((bundles / version / "manifest.json").read_text())
        assert manifest == {"version": version, "files": {"x": "0"}}
        assert (bundles / version / "model" / "weights").read_text() == "b"


def test_without_a_bundle_nothing_is_measured(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    options = ["--profile", "smoke", "--bundles", str(tmp_path), "--out", str(tmp_path / "out")]
    assert load.main(options) == load.NOT_MEASURED
    assert "has no current bundle" in capsys.readouterr().err


@pytest.mark.parametrize("given", [[], ["--bundles", "b", "--url", "u"], ["--url", "u"]])
def test_a_server_comes_from_bundles_or_from_an_address(given: list[str]):
    with pytest.raises(SystemExit):
        load.parse(["--profile", "smoke", "--out", "o", *given])


def test_what_redis_holds_is_measured_while_it_answers(tmp_path: Path):
    size = RedisSize(free_port(), tmp_path)
    with managed_redis(tmp_path, size.port), Redis(port=size.port) as client:
        before = size.mib()
        client.set("key", bytes(4 << 20))
        after = size.mib()
    assert after["redis data"] - before["redis data"] > 3.9
    assert after["redis files"] - before["redis files"] > 3.9
    assert "redis data" not in size.mib()
