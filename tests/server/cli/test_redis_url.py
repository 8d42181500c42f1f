"""Commands find the Redis of the server in whose environment they run."""

import importlib
from pathlib import Path

import pytest

from server.cli import export_events
from server.cli.redis_url import server_redis, server_storage, where_redis_may_be
from server.core.errors import SettingsError, StartupError
from server.core.settings import StorageSettings
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


@pytest.mark.parametrize(
    ("variables", "text", "told"),
    [
        ({}, "manged_redis: data", r"no setting is named manged_redis \(did you mean managed_redis\?\)"),
        ({}, "redis:", "redis has no value"),
        ({}, "redis: ''", "--redis: is empty"),
        ({}, "managed_redis: ' '", "--managed-redis: is empty"),
        ({}, "redis: 7", "--redis: is empty, or no text"),
        ({}, "redis: redis://a\nredis: redis://b", "set a second time"),
        ({}, "redis: redis://h/abc", "--redis: is no Redis URL"),
        ({}, "- redis", "is a list"),
        ({"GEMSERVE_REDSI": "redis://a"}, None, r"GEMSERVE_REDSI \(did you mean GEMSERVE_REDIS\?\)"),
        ({"GEMSERVER_REDIS": "redis://a"}, None, r"GEMSERVER_REDIS \(did you mean GEMSERVE_REDIS\?\)"),
        ({"GEMSERVE_REDIS__URL": "redis://a"}, None, "GEMSERVE_REDIS__URL"),
        ({"GEMSERVE_CONFG": "a.yaml"}, None, "GEMSERVE_CONFG"),
        ({"GEMSERVE_REDIS": ""}, None, "--redis: is empty"),
        ({"GEMSERVE_REDIS": " "}, "redis: redis://a", "--redis: is empty"),
        ({"GEMSERVE_MANAGED_REDIS": ""}, None, "--managed-redis: is empty"),
        ({"GEMSERVE_CONFIG": ""}, None, "--config: is empty"),
        ({"GEMSERVE_REDIS": "h:6379"}, None, "--redis: is no Redis URL"),
    ],
)
def test_a_misspelt_or_empty_setting_is_refused_as_the_server_refuses_it(
    tmp_path: Path, variables: dict[str, str], text: str | None, told: str
) -> None:
    if text is not None:
        (tmp_path / "a.yaml").write_text(text)
        variables = {"GEMSERVE_CONFIG": str(tmp_path / "a.yaml")} | variables
    with pytest.raises(SettingsError, match=told):
        server_redis(None, variables)


@pytest.mark.parametrize("url", ["", "redis://h/abc", "redis:///0"])
def test_a_url_that_is_given_and_none_is_refused(url: str) -> None:
    with pytest.raises(SettingsError, match="--redis: is no Redis URL"):
        server_redis(url, {})


@pytest.mark.parametrize("command", ["export_events", "export_items", "retrain.__main__"])
def test_no_command_reads_another_redis_than_was_meant(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("GEMSERVE_REDSI", "redis://127.0.0.1:1/0")
    flags = {
        "export_events": ["--out", str(tmp_path / "e.parquet")],
        "export_items": ["--bundle", str(tmp_path), "--out", str(tmp_path / "i.parquet")],
        "retrain.__main__": ["--bundles", str(tmp_path), "--server", "http://127.0.0.1:1"],
    }
    assert importlib.import_module(f"server.cli.{command}").main(flags[command]) == 2
    assert "no setting is named GEMSERVE_REDSI (did you mean GEMSERVE_REDIS?)" in capsys.readouterr().err


def test_where_nobody_answers_the_way_to_a_managed_redis_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Port 1 is nobody's."""
    assert export_events.main(["--redis", "redis://127.0.0.1:1/0", "--out", str(tmp_path / "events.parquet")]) == 2
    said = capsys.readouterr().err
    assert "set GEMSERVE_MANAGED_REDIS=FOLDER" in said
    assert "var/redis" in said
    assert where_redis_may_be(ValueError("no URL")) == ""


def test_what_is_kept_is_as_the_server_in_this_environment_has_it(file: Path) -> None:
    assert server_storage(None, None, {}) == StorageSettings()
    file.write_text(f"redis: {NAMED}\nhistory_length: 300\nevent_id_days: 30\nport: 9000\n")
    environment = {"GEMSERVE_CONFIG": str(file), "GEMSERVE_HISTORY_LENGTH": "500", "GEMSERVE_NAMESPACE": "shoes"}
    told = server_storage(None, None, environment)
    assert told == StorageSettings(url=NAMED, namespace="shoes", history_length=500, event_id_days=30)
    with pytest.raises(SettingsError, match="--history-length: Input should be greater than or equal to 1"):
        server_storage(None, None, {"GEMSERVE_HISTORY_LENGTH": "0"})
