import os
from pathlib import Path

import pytest
import structlog

from server.auth import key_file
from server.auth.api_key import Key, mint
from server.auth.key_file import KeyFileError
from server.auth.keyring import Keyring


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "keys.json"


@pytest.fixture
def clock() -> Clock:
    return Clock()


def added(path: Path) -> tuple[Key, str]:
    key, text = mint(name="a", scopes=("read",))
    key_file.add(path, key)
    return key, text


def test_without_a_file_nobody_has_a_key() -> None:
    keyring = Keyring(None)
    assert keyring.keys() == {}
    assert keyring.find(mint(name="a", scopes=("read",))[1]) is None


def test_a_key_is_found_by_its_text_alone(path: Path) -> None:
    key, text = added(path)
    keyring = Keyring(path)
    assert keyring.find(text) == key
    assert keyring.find(text[:-1]) is None
    assert keyring.find(f"gsk_{key.id}_{'0' * 64}") is None
    assert keyring.find("") is None


def test_a_change_is_seen_within_a_second_and_not_looked_for_sooner(path: Path, clock: Clock) -> None:
    added(path)
    keyring = Keyring(path, clock)
    first, text = added(path)
    clock.now = 0.9
    assert keyring.find(text) is None
    clock.now = 1.0
    assert keyring.find(text) == first
    second, _ = added(path)
    key_file.revoke(path, first.id, keep_admin=False)
    assert keyring.find(text) == first
    clock.now = 2.0
    assert keyring.find(text) is None
    left = set(keyring.keys())
    assert first.id not in left
    assert second.id in left


@pytest.mark.parametrize("damage", ["truncated", "gone"])
def test_keys_outlive_damage_to_their_file(path: Path, clock: Clock, damage: str) -> None:
    key, text = added(path)
    whole = path.read_bytes()
    keyring = Keyring(path, clock)
    path.write_bytes(whole[:40]) if damage == "truncated" else path.unlink()
    clock.now = 5.0
    with structlog.testing.capture_logs() as logs:
        assert keyring.find(text) == key
        clock.now = 10.0
        assert keyring.find(text) == key
    assert [entry["log_level"] for entry in logs] == ["error"]
    path.write_bytes(whole.replace(key.id.encode(), b"0" * 12))
    os.utime(path, ns=(1, 1))
    clock.now = 15.0
    assert set(keyring.keys()) == {"0" * 12}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "does not exist: check the path, or `gemserve keys create"),
        ("", "is no file of keys"),
        ("[{}]", "is no file of keys"),
        ("[]", "holds no key, so nobody could use the server: make one with `gemserve keys create"),
    ],
)
def test_a_file_without_keys_at_the_start_is_refused(path: Path, content: str | None, message: str) -> None:
    if content is not None:
        path.write_text(content)
    with pytest.raises(KeyFileError, match=message):
        Keyring(path)


def test_where_the_file_has_lost_its_keys_nobody_has_one(path: Path, clock: Clock) -> None:
    _, text = added(path)
    keyring = Keyring(path, clock)
    path.write_text("[]")
    clock.now = 5.0
    with structlog.testing.capture_logs() as logs:
        assert keyring.find(text) is None
        assert keyring.keys() == {}
    assert [entry["event"] for entry in logs] == ["keys_file_empty"]


@pytest.mark.parametrize("nothing", [b"", b"\n", b" \r\n"])
def test_where_the_file_stays_emptied_nobody_has_a_key(path: Path, clock: Clock, nothing: bytes) -> None:
    """As `: > keys.json` and `echo > keys.json` leave it."""
    key, text = added(path)
    whole = path.read_bytes()
    keyring = Keyring(path, clock)
    path.write_bytes(nothing)
    with structlog.testing.capture_logs() as logs:
        clock.now = 5.0
        assert keyring.find(text) == key  # somebody may just be writing it
        keyring.refresh()
        assert keyring.find(text) == key
        for clock.now in (6.0, 7.0, 8.0):
            assert keyring.find(text) is None
    assert [entry["event"] for entry in logs] == ["keys_file_empty"]
    path.write_bytes(whole)
    clock.now = 9.0
    assert keyring.find(text) == key


def test_a_writer_that_empties_the_file_first_locks_nobody_out(path: Path, clock: Clock) -> None:
    key, text = added(path)
    whole = path.read_bytes()
    keyring = Keyring(path, clock)
    with structlog.testing.capture_logs() as logs:
        for seconds in (5.0, 7.0, 9.0):
            clock.now = seconds
            path.write_bytes(b"")
            assert keyring.find(text) == key
            path.write_bytes(whole)
            clock.now = seconds + 1.0
            assert keyring.find(text) == key
    assert {entry["event"] for entry in logs} == {"keys_read"}
