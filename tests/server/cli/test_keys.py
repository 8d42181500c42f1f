from pathlib import Path

import pytest

from server.auth.keyring import Keyring
from server.cli.keys import main


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "keys.json")


def test_a_key_is_made_listed_and_revoked(path: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["create", "--file", path, "--name", "the shop", "--scopes", "write, read", "--rate", "2.5"]) == 0
    text = capsys.readouterr().out.strip()
    key = Keyring(Path(path)).find(text)
    assert key is not None
    assert (key.name, key.scopes, key.rate_per_second) == ("the shop", ("read", "write"), 2.5)
    assert main(["create", "--file", path, "--name", "b", "--scopes", "admin", "--concurrency", "3"]) == 0
    capsys.readouterr()
    assert main(["list", "--file", path]) == 0
    listed = capsys.readouterr().out
    assert [line.split()[0] for line in listed.splitlines()] == list(Keyring(Path(path)).keys())
    assert "rate=2.5" in listed
    assert text[-64:] not in listed
    assert main(["revoke", "--file", path, key.id]) == 0
    assert Keyring(Path(path)).find(text) is None


def test_a_key_is_made_with_restrictions(path: str, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--expires", "2999-01-01T00:00:00Z", "--filter", 'brand = "Norvik"', "--route", "GET /search"]
    assert main(["create", "--file", path, "--name", "norvik", "--scopes", "read", *options]) == 0
    key = Keyring(Path(path)).find(capsys.readouterr().out.strip())
    assert key is not None
    assert (key.expires_at, key.filter_by, key.routes) == (options[1], options[3], ("GET /search",))
    assert main(["list", "--file", path]) == 0
    listed = capsys.readouterr().out
    assert 'expires=2999-01-01T00:00:00Z filter=(brand = "Norvik") routes=(GET /search)' in listed


def test_a_key_with_a_filter_cannot_administer(path: str, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--name", "norvik", "--scopes", "admin", "--filter", 'brand = "Norvik"']
    assert main(["create", "--file", path, *options]) == 2
    assert "cannot administer" in capsys.readouterr().err
    assert not Path(path).exists()


def test_what_is_refused(path: str, capsys: pytest.CaptureFixture[str]) -> None:
    for command in (["list"], ["revoke", "0123456789ab"]):
        assert main([*command, "--file", path]) == 2
        assert f"{path} does not exist" in capsys.readouterr().err
    assert main(["create", "--file", path, "--name", "a", "--scopes", "read"]) == 0
    capsys.readouterr()
    assert main(["revoke", "--file", path, "0123456789ab"]) == 2
    assert "no key has the id '0123456789ab'" in capsys.readouterr().err


@pytest.mark.parametrize(
    "options",
    [
        ["--scopes", "read,root"],
        ["--scopes", ""],
        ["--scopes", "read", "--rate", "0"],
        ["--scopes", "read", "--rate", "nan"],
        ["--scopes", "read", "--burst", "0"],
        ["--scopes", "read", "--name", "line\nbreak"],
        ["--scopes", "read", "--expires", "2027-01-31"],
        ["--scopes", "read", "--filter", "price <"],
        ["--scopes", "read", "--filter", ""],
        ["--scopes", "read", "--route", "GET /serch"],
    ],
)
def test_options_that_make_no_sense_make_no_key(
    path: str, options: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["create", "--file", path, "--name", "a", *options])
    assert caught.value.code == 2
    assert not Path(path).exists()
    assert "argument --" in capsys.readouterr().err
