from pathlib import Path

import pytest

from server.core.errors import SettingsError
from server.core.settings import StorageSettings, read_settings


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("GEMSERVE_BUNDLES", "GEMSERVE_PORT", "GEMSERVE_REDIS"):
        monkeypatch.delenv(name, raising=False)


def test_bundles_are_all_that_must_be_named() -> None:
    settings = read_settings(["--bundles", "out"])
    assert settings.bundles == Path("out")
    assert (settings.host, settings.port) == ("127.0.0.1", 8000)
    assert settings.redis.startswith("redis://")


def test_a_flag_wins_over_a_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GEMSERVE_PORT", "9000")
    monkeypatch.setenv("GEMSERVE_BUNDLES", "from-variable")
    monkeypatch.setenv("GEMSERVE_ENGINE__MAX_WIDTH", "300")
    settings = read_settings(["--bundles", "from-flag", "--engine.seed", "7"])
    assert settings.bundles == Path("from-flag")
    assert settings.port == 9000
    assert settings.engine.max_width == 300
    assert settings.engine.seed == 7


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ([], "--bundles: Field required"),
        (["--bundles", "out", "--port", "70000"], "--port: Input should be less than or equal to 65535"),
        (["--bundles", "out", "--redis", "localhost:6379"], "--redis: is no Redis URL"),
        (["--bundles", "out", "--redis", "redis://localhost:port/0"], "--redis: is no Redis URL"),
        (["--bundles", "out", "--redis", "redis://a", "--managed-redis", "data"], "exclude each other"),
        (["--bundles", "out", "--beam-width", "500"], "beam_width 500 is over engine.max_width 200"),
        (["--bundles", "out", "--engine.max-width", "100"], "under 200"),
        (["--bundles", "out", "--redis-read-timeout-ms", "0"], "--redis-read-timeout-ms: "),
        (["--bundles", "out", "--log-level", "loud"], "--log-level: "),
        (["--bundles", "out", "--cors-origins", "https://a.example/"], "https://a.example/ is no origin"),
        (["--bundles", "out", "--cors-origins", "a.example"], "a.example is no origin"),
        (["--bundles", "out", "--rate-per-second", "0"], "--rate-per-second: "),
        (["--bundles", "out", "--config", "nowhere.yaml"], "nowhere.yaml cannot be read: No such file"),
    ],
)
def test_what_is_refused(flags: list[str], message: str) -> None:
    with pytest.raises(SettingsError) as caught:
        read_settings(flags)
    assert message in str(caught.value)


SECRET = "0123456789abcdef"


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ([], "--redis URL"),
        (["--managed-redis", "data", "--cursor-secret", SECRET], "--redis URL instead of --managed-redis"),
        (["--cursor-secret", SECRET], "--fleet needs the Redis that all its servers share"),
        (["--redis", "redis://a"], "--fleet needs a secret that all its servers share"),
        (["--redis", "redis://a", "--cursor-secret", SECRET, "--rollout", "recreate"], "--fleet needs --rollout surge"),
        (["--redis", "redis://a", "--cursor-secret", SECRET, "--fleet", "A Shop"], "--fleet: String should match"),
    ],
)
def test_a_server_that_could_not_keep_step_is_none_of_a_fleet(flags: list[str], message: str) -> None:
    with pytest.raises(SettingsError) as caught:
        read_settings(["--bundles", "out", "--fleet", "shop", *flags])
    assert message in str(caught.value)


def test_a_fleet_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GEMSERVE_REDIS", "redis://a")
    assert read_settings(["--bundles", "out", "--fleet", "shop", "--cursor-secret", SECRET]).fleet == "shop"


def test_everything_wrong_is_told_at_once() -> None:
    with pytest.raises(SettingsError) as caught:
        read_settings(["--port", "x", "--host", "0.0.0.0"])
    assert "--bundles" in str(caught.value)
    assert "--port" in str(caught.value)


def test_an_unknown_flag_ends_with_usage(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        read_settings(["--bundles", "out", "--prt", "1"])
    assert caught.value.code == 2
    assert "--prt" in capsys.readouterr().err


@pytest.mark.parametrize(("first", "second"), [("redis", "managed_redis"), ("managed_redis", "redis")])
def test_the_redis_of_a_flag_wins_over_another_of_a_variable_and_that_over_the_file(
    first: str, second: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = {"redis": "redis://a/1", "managed_redis": "data"}
    file = tmp_path / "settings.yaml"
    file.write_text(f"bundles: out\n{second}: {values[second]}\n")
    flag = ["--config", str(file), f"--{first.replace('_', '-')}", values[first]]
    expected = {"redis": ("redis://a/1", None), "managed_redis": (StorageSettings().url, Path("data"))}
    settings = read_settings(flag)
    assert (settings.redis, settings.managed_redis) == expected[first]
    monkeypatch.setenv(f"GEMSERVE_{second.upper()}", values[second])
    settings = read_settings(flag)
    assert (settings.redis, settings.managed_redis) == expected[first]
    file.write_text(f"bundles: out\n{first}: {values[first]}\n")
    settings = read_settings(["--config", str(file)])
    assert (settings.redis, settings.managed_redis) == expected[second]
    monkeypatch.setenv(f"GEMSERVE_{first.upper()}", values[first])
    with pytest.raises(SettingsError, match="exclude each other"):
        read_settings(["--config", str(file)])


@pytest.mark.parametrize("value", ["max_width", "", "{", "{max_width: 300}"])
@pytest.mark.parametrize("by", ["flag", "variable"])
def test_an_engine_that_is_no_json_is_refused(by: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if by == "variable":
        monkeypatch.setenv("GEMSERVE_ENGINE", value)
    with pytest.raises(SettingsError, match=r"--engine: .*as --engine\.max-width 300, GEMSERVE_ENGINE__MAX_WIDTH=300"):
        read_settings(["--bundles", "out", *(["--engine", value] if by == "flag" else [])])


@pytest.mark.parametrize("name", ["GEMSERVE_PRT", "GEMSERVE_", "GEMSERVE_ENGINES__SEED"])
def test_an_unknown_variable_is_refused(name: str) -> None:
    with pytest.raises(SettingsError, match=f"no setting is named {name}"):
        read_settings(["--bundles", "out"], {name: "1"})


def test_the_nearest_name_is_told() -> None:
    with pytest.raises(SettingsError, match=r"did you mean GEMSERVE_PORT\?"):
        read_settings(["--bundles", "out"], {"GEMSERVE_PRT": "1"})


@pytest.mark.parametrize(
    "text", ["https://a.example,http://b.example:8080", "https://a.example, http://b.example:8080"]
)
def test_lists_have_commas(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    both = ["https://a.example", "http://b.example:8080"]
    assert read_settings(["--bundles", "out", "--cors-origins", text]).cors_origins == both
    monkeypatch.setenv("GEMSERVE_CORS_ORIGINS", text)
    assert read_settings(["--bundles", "out"]).cors_origins == both
    assert read_settings(["--bundles", "out", "--cors-origins", "*"]).cors_origins == ["*"]


def test_an_unknown_part_of_the_engine_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GEMSERVE_ENGINE__SED", "1")
    with pytest.raises(SettingsError, match=r"engine\.sed"):
        read_settings(["--bundles", "out"])


def test_the_redis_password_is_not_printed() -> None:
    settings = read_settings(["--bundles", "out", "--redis", "redis://:hunter2@host/0"])
    assert "hunter2" not in repr(settings)
    with pytest.raises(SettingsError) as caught:
        read_settings(["--bundles", "out", "--redis", "http://:hunter2@host/0"])
    assert "hunter2" not in str(caught.value)


def test_the_storage_gets_its_part_of_the_settings() -> None:
    assert read_settings(["--bundles", "out"]).storage == StorageSettings()
    flags = ["--redis", "redis://a/1", "--redis-read-timeout-ms", "1", "--redis-write-timeout-ms", "2"]
    flags += ["--redis-connections", "3", "--history-length", "4", "--history-days", "5", "--event-ids", "6"]
    flags += ["--event-id-days", "7", "--event-log-length", "8000"]
    assert read_settings(["--bundles", "out", *flags]).storage == StorageSettings(
        url="redis://a/1",
        read_timeout_ms=1,
        write_timeout_ms=2,
        connections=3,
        history_length=4,
        history_days=5,
        event_ids=6,
        event_id_days=7,
        event_log_length=8_000,
    )


def test_secrets_of_cursors_are_listed_alike_wherever_they_stand(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    new, old = '[a "secret" of {brackets', "0123456789abcdef"
    flags = ["--bundles", "out"]
    assert read_settings(flags).cursor_secrets is None
    assert read_settings([*flags, "--cursor-secret", new]).cursor_secrets == (new,)
    for several in ([f"{new},{old}"], [f"{new}, {old}"], [new, old]):
        given = [part for value in several for part in ("--cursor-secret", value)]
        assert read_settings([*flags, *given]).cursor_secrets == (new, old)
    monkeypatch.setenv("GEMSERVE_CURSOR_SECRET", f"{new},{old}")
    assert read_settings(flags).cursor_secrets == (new, old)
    monkeypatch.delenv("GEMSERVE_CURSOR_SECRET")
    file = tmp_path / "settings.yaml"
    for text in (f"\n  - '{new}'\n  - {old}", f"'{new},{old}'"):
        file.write_text(f"cursor_secret: {text}")
        assert read_settings([*flags, "--config", str(file)]).cursor_secrets == (new, old)
