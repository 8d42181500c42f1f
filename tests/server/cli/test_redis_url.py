"""Commands find the Redis of the server in whose environment they run."""

from pathlib import Path

import pytest

from server.cli.redis_url import server_redis
from server.core.errors import SettingsError, StartupError
from server.storage.managed_redis import managed_redis

NAMED = "redis://:secret@shop:6379/2"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "gemserve.yaml").write_text(f"port: 9000\nredis: {NAMED}\nengine:\n  max_width: 300\n")
    return tmp_path / "gemserve.yaml"


def test_what_is_given_wins_over_a_variable_and_that_over_the_file(file: Path) -> None:
    config = {"GEMSERVE_CONFIG": str(file), "GEMSERVE_LOG_LEVEL": "loud", "GEMSERVE_KEYS": "nowhere.json"}
    assert server_redis(None, {}) == "redis://127.0.0.1:6379/0"
    assert server_redis(None, config) == NAMED
    assert server_redis(None, config | {"GEMSERVE_REDIS": "redis://b"}) == "redis://b"
    assert server_redis("redis://a", config | {"GEMSERVE_REDIS": "redis://b"}) == "redis://a"


@pytest.mark.integration
@pytest.mark.parametrize("name", ["GEMSERVE_MANAGED_REDIS", "GEMSERVE_OWN_REDIS"])
def test_a_redis_that_the_server_runs_is_found_by_its_folder(tmp_path: Path, file: Path, name: str) -> None:
    environment = {name: str(tmp_path / "data"), "GEMSERVE_CONFIG": str(file)}
    with managed_redis(tmp_path / "data") as url:
        assert server_redis(None, environment) == url
        assert server_redis(None, environment | {"GEMSERVE_REDIS": NAMED}) == NAMED
        file.write_text(f"{name.removeprefix('GEMSERVE_').lower()}: {tmp_path / 'data'}\n")
        assert server_redis(None, {"GEMSERVE_CONFIG": str(file)}) == url
    with pytest.raises(StartupError, match=r"no server with --managed-redis .*data runs: start it, or name a Redis"):
        server_redis(None, environment)


@pytest.mark.parametrize(("text", "told"), [(None, "cannot be read"), ("a: [", "is not YAML"), ("\x00", "is not YAML")])
def test_a_settings_file_that_cannot_be_read_is_named(tmp_path: Path, text: str | None, told: str) -> None:
    if text is not None:
        (tmp_path / "a.yaml").write_text(text)
    with pytest.raises(SettingsError, match=rf"a\.yaml {told}"):
        server_redis(None, {"GEMSERVE_CONFIG": str(tmp_path / "a.yaml")})


def test_a_file_that_names_no_redis_leaves_the_usual_one(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("")
    assert server_redis(None, {"GEMSERVE_CONFIG": str(tmp_path / "a.yaml")}) == "redis://127.0.0.1:6379/0"
