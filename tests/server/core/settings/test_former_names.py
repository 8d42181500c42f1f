"""Former names of settings go on working, and say what to write instead."""

import os
from pathlib import Path
from typing import Any

import pytest
import yaml
from structlog.testing import capture_logs

from server.core.errors import SettingsError
from server.core.settings import Settings, read_settings
from server.core.settings.former_names import FORMER_NAMES, FORMER_VALUES

VALUES: dict[str, Any] = {
    "activation": "recreate",
    "body_seconds": 1.5,
    "concurrent_answers": 3,
    "drain_seconds": 2.5,
    "head_seconds": 3.5,
    "own_redis": "folder",
    "own_redis_port": 4,
    "queue_length": 5,
    "read_seconds": 4.5,
}
"""A value for every former name, other than the default."""


def renamed(lines: list[Any]) -> dict[str, str]:
    """The present name by the former one, of every line that was logged."""
    assert all(line["event"] == "renamed" and line["log_level"] == "warning" for line in lines)
    return {line["former"]: line["now"] for line in lines}


def flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def variable(name: str) -> str:
    return f"GEMSERVE_{name.upper()}"


def test_every_former_name_is_tried_here_and_has_a_present_one() -> None:
    assert VALUES.keys() == FORMER_NAMES.keys()
    assert set(FORMER_NAMES.values()) <= Settings.model_fields.keys()
    assert not FORMER_NAMES.keys() & Settings.model_fields.keys()


@pytest.mark.parametrize(("former", "value"), VALUES.items())
def test_a_former_flag(former: str, value: object) -> None:
    name = FORMER_NAMES[former]
    for flags in ([flag(former), str(value)], [f"{flag(former)}={value}"]):
        with capture_logs() as lines:
            settings = read_settings(["--bundles", "out", *flags])
        assert str(getattr(settings, name)) == str(value)
        assert renamed(lines) == {flag(former): flag(name)}


@pytest.mark.parametrize(("former", "value"), VALUES.items())
def test_a_former_variable(former: str, value: object, monkeypatch: pytest.MonkeyPatch) -> None:
    name = FORMER_NAMES[former]
    monkeypatch.setenv(variable(former), str(value))
    with capture_logs() as lines:
        settings = read_settings(["--bundles", "out"])
    assert str(getattr(settings, name)) == str(value)
    assert renamed(lines) == {variable(former): variable(name)}


@pytest.mark.parametrize(("former", "value"), VALUES.items())
def test_a_former_key_of_the_file(former: str, value: object, tmp_path: Path) -> None:
    name = FORMER_NAMES[former]
    file = tmp_path / "settings.yaml"
    file.write_text(yaml.safe_dump({"bundles": "out", former: value}))
    with capture_logs() as lines:
        settings = read_settings(["--config", str(file)])
    assert str(getattr(settings, name)) == str(value)
    assert renamed(lines) == {former: name}


@pytest.mark.parametrize(("former", "value"), VALUES.items())
def test_both_names_at_once_are_refused(
    former: str, value: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = FORMER_NAMES[former]
    with pytest.raises(SettingsError, match=f"{flag(former)} is the former name of {flag(name)}, and both are given"):
        read_settings(["--bundles", "out", flag(former), str(value), f"{flag(name)}={value}"])

    file = tmp_path / "settings.yaml"
    file.write_text(yaml.safe_dump({former: value, name: value}))
    with pytest.raises(SettingsError, match=f"{former} is the former name of {name}, and both are given"):
        read_settings(["--bundles", "out", "--config", str(file)])

    monkeypatch.setenv(variable(former), str(value))
    monkeypatch.setenv(variable(name), str(value))
    with pytest.raises(SettingsError, match=f"{variable(former)} is the former name of {variable(name)}, and both"):
        read_settings(["--bundles", "out"], os.environ)


def test_a_flag_wins_over_a_variable_by_whichever_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GEMSERVE_SEND_TIMEOUT", "1")
    assert read_settings(["--bundles", "out", "--read-seconds", "2"]).send_timeout == 2
    monkeypatch.delenv("GEMSERVE_SEND_TIMEOUT")
    monkeypatch.setenv("GEMSERVE_READ_SECONDS", "1")
    assert read_settings(["--bundles", "out", "--send-timeout", "2"]).send_timeout == 2


@pytest.mark.parametrize(("former", "word"), FORMER_VALUES["rollout"].items())
def test_a_former_value(former: str, word: str) -> None:
    with capture_logs() as lines:
        assert read_settings(["--bundles", "out", "--rollout", former]).rollout == word
    assert renamed(lines) == {f"rollout: {former}": f"rollout: {word}"}


def test_present_names_and_values_are_not_mentioned() -> None:
    with capture_logs() as lines:
        read_settings(["--bundles", "out", "--rollout", "surge", "--send-timeout", "1"])
    assert not lines


def test_a_former_name_is_not_offered(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        read_settings(["--help"])
    said = capsys.readouterr().out
    assert not [former for former in FORMER_NAMES if f"{flag(former)} " in said]


def test_a_wrong_value_is_told_by_the_present_name() -> None:
    with pytest.raises(SettingsError, match="--send-timeout: Input should be greater than 0"):
        read_settings(["--bundles", "out", "--read-seconds", "0"])
