"""The OpenAPI document as a command writes it."""

import json
from pathlib import Path

import pytest

from server.cli.openapi import main


def test_no_setting_of_a_server_has_a_say_in_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It runs in the environment of any server, such as one whose Redis is managed, or whose port is misspelt."""
    file, other = tmp_path / "openapi.json", tmp_path / "other.json"
    assert main([str(file)]) == 0
    monkeypatch.setenv("GEMSERVE_MANAGED_REDIS", str(tmp_path))
    monkeypatch.setenv("GEMSERVE_REDIS", "redis://127.0.0.1:1/0")
    monkeypatch.setenv("GEMSERVE_PORT", "x")
    assert main([str(other)]) == 0
    assert other.read_bytes() == file.read_bytes()
    assert "/search" in json.loads(file.read_text())["paths"]


def test_a_file_that_cannot_be_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path / "nowhere" / "openapi.json")]) == 2
    assert "nowhere/openapi.json cannot be written: No such file or directory" in capsys.readouterr().err
