import json
import subprocess
import sys
from pathlib import Path

import pytest

from server.auth import key_file
from server.auth.api_key import mint
from server.auth.key_file import KeyFileError, LastKey, NoSuchKey

ADD_TEN = """
import sys
from pathlib import Path
from server.auth import key_file
from server.auth.api_key import mint
for _ in range(10):
    key_file.add(Path(sys.argv[1]), mint(name=sys.argv[2], scopes=("read",))[0])
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "keys.json"


def test_keys_come_back_as_they_were_and_only_their_owner_may_read_them(path: Path) -> None:
    key, text = mint(name="κατάστημα", scopes=("read",), rate_per_second=0.5, burst=3, concurrency=2)
    other = mint(name="b", scopes=("admin",))[0]
    key_file.add(path, key)
    key_file.add(path, other)
    assert key_file.read(path) == [key, other]
    assert path.stat().st_mode & 0o777 == 0o600
    assert text.rpartition("_")[2] not in path.read_text()
    assert {entry.name for entry in path.parent.iterdir()} == {"keys.json", "keys.json.lock"}


def test_writers_at_the_same_time_lose_nothing(path: Path) -> None:
    commands = [[sys.executable, "-c", ADD_TEN, str(path), name] for name in ("a", "b", "c")]
    processes = [subprocess.Popen(command) for command in commands]
    assert [process.wait(60) for process in processes] == [0, 0, 0]
    names = [key.name for key in key_file.read(path)]
    assert sorted(names) == ["a"] * 10 + ["b"] * 10 + ["c"] * 10


def test_what_must_stay(path: Path) -> None:
    admin, reader = (mint(name=scope, scopes=(scope,))[0] for scope in ("admin", "read"))
    key_file.add(path, admin)
    with pytest.raises(LastKey, match="without it nobody is let in"):
        key_file.revoke(path, admin.id, keep_admin=False)
    key_file.add(path, reader)
    with pytest.raises(LastKey, match="scope admin"):
        key_file.revoke(path, admin.id, keep_admin=True)
    with pytest.raises(NoSuchKey):
        key_file.revoke(path, "0" * 12, keep_admin=True)
    assert key_file.revoke(path, admin.id, keep_admin=False) == admin
    assert key_file.read(path) == [reader]


def test_a_file_that_does_not_exist_is_no_empty_one(path: Path) -> None:
    key = mint(name="a", scopes=("read",))[0]
    advice = rf"{path} does not exist: check the path, or `gemserve keys create --file {path} "
    with pytest.raises(KeyFileError, match=advice):
        key_file.read(path)
    with pytest.raises(KeyFileError, match=advice):
        key_file.revoke(path, key.id, keep_admin=False)
    assert not list(path.parent.iterdir())
    with pytest.raises(KeyFileError, match=advice):
        key_file.add(path, key, create=False)
    assert not path.exists()
    key_file.add(path, key)
    assert key_file.read(path) == [key]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "at the whole: Invalid JSON"),
        ("{}", "at the whole"),
        ('[{"id": "0123456789ab"}]', "at 0.name: Field required"),
        ("[1]", "at 0"),
    ],
)
def test_a_damaged_file_is_named_with_the_place(path: Path, text: str, message: str) -> None:
    path.write_text(text)
    with pytest.raises(KeyFileError) as caught:
        key_file.read(path)
    assert str(path) in str(caught.value)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    "change",
    [
        {"scopes": ["root"]},
        {"scopes": []},
        {"scopes": "admin"},
        {"rate_per_second": float("inf")},
        {"rate_per_second": -1},
        {"secret": "x"},
        {"id": "../x"},
    ],
)
def test_a_key_that_cannot_be_is_refused(path: Path, change: dict[str, object]) -> None:
    key_file.add(path, mint(name="a", scopes=("read",))[0])
    keys = json.loads(path.read_text())
    path.write_text(json.dumps([keys[0] | change]))
    with pytest.raises(KeyFileError):
        key_file.read(path)


def test_two_keys_of_one_id_are_refused(path: Path) -> None:
    key = mint(name="a", scopes=("read",))[0]
    key_file.add(path, key)
    key_file.add(path, key)
    with pytest.raises(KeyFileError, match="two keys of one id"):
        key_file.read(path)


def test_a_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(KeyFileError, match="cannot be written: No such file"):
        key_file.add(tmp_path / "no" / "keys.json", mint(name="a", scopes=("read",))[0])
    with pytest.raises(KeyFileError, match="cannot be read: Is a directory"):
        key_file.read(tmp_path)
