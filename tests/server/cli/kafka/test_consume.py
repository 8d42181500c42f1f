"""The command that takes events from Kafka refuses what it could not work with, and says what to do."""

import sys
from pathlib import Path

import pytest

from server.cli.kafka.consume import main, read_properties
from server.core.errors import SettingsError
from tests.support.kafka import Brokers, brokers

__all__ = ["brokers"]

WORDS = ["--bootstrap-servers", "127.0.0.1:1", "--topic", "events", "--dead-letters", "dead"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([*WORDS, "--topic", "dead"], "--dead-letters: is one of the topics"),
        ([*WORDS, "--topic", "e" * 230], "is longer than 220 characters"),
        (WORDS[2:], "--bootstrap-servers"),
    ],
    ids=["dead letters among the topics", "a long topic", "no brokers"],
)
def test_flags_that_do_not_go_together(words: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(words)
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("enable.auto.commit=true", "leave enable.auto.commit out"),
        ("group.id=other", "leave group.id out"),
        ("sasl.username", "line 1: write one setting a line, as name=value"),
        ("[other]\na=b", "write one setting a line"),
        ("a=b\na=c", "already exists"),
        ("sasl.pasword=x", "No such configuration property"),
    ],
    ids=["commits", "group", "no value", "sections", "twice", "misspelt"],
)
def test_settings_of_kafka_that_cannot_be_taken(
    text: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "kafka.properties").write_text(text)
    assert main([*WORDS, "--kafka-config", str(tmp_path / "kafka.properties")]) == 2
    assert message in capsys.readouterr().err


def test_a_file_of_settings(tmp_path: Path) -> None:
    file = tmp_path / "kafka.properties"
    file.write_text("# of the shop\nsecurity.protocol=SASL_SSL\nsasl.password = p%=1 \n")
    assert read_properties(file) == {"security.protocol": "SASL_SSL", "sasl.password": "p%=1"}
    with pytest.raises(OSError, match="No such file"):
        read_properties(tmp_path / "none")


def test_topics_that_there_are_not(brokers: Brokers, capsys: pytest.CaptureFixture[str]) -> None:
    brokers.create("there")
    words = ["--bootstrap-servers", brokers.servers, "--topic", "there", "--topic", "evnts", "--dead-letters", "dead"]
    assert main(words) == 2
    assert "there is no topic evnts, dead: create it, or name another" in capsys.readouterr().err


def test_without_the_client_of_kafka(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setitem(sys.modules, "confluent_kafka", None)
    assert main(WORDS) == 2
    assert "pip install 'gemserve[kafka]'" in capsys.readouterr().err


def test_a_secret_stands_in_no_message(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "kafka.properties").write_text("sasl.password=hunter2\nsecurity.protocol=none\n")
    assert main([*WORDS, "--kafka-config", str(tmp_path / "kafka.properties")]) == 2
    said = capsys.readouterr()
    assert "security.protocol" in said.err
    assert "hunter2" not in said.out + said.err


def test_the_secrets_of_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    file = tmp_path / "kafka.properties"
    file.write_text("sasl.password hunter2\n")
    with pytest.raises(SettingsError, match="line 1") as refused:
        read_properties(file)
    assert "hunter2" not in str(refused.value)
