"""The prefix of a reverse proxy as a setting."""

from pathlib import Path

import pytest

from server.core.errors import SettingsError
from server.core.settings import read_settings


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("gemserve", "it must begin with /"),
        ("/gemserve/", "leave out the / at its end"),
        ("/", "without a prefix leave the setting out"),
        ("https://shop.example/gemserve", "write the path alone"),
        ("//shop.example/gemserve", "write the path alone"),
        ("/gemserve?a=b", "leave out what begins with"),
        ("/gemserve#a", "leave out what begins with"),
        ("/a//b", "two / follow each other"),
        ("/a/../b", "browsers and proxies resolve . and .."),
        ("/.", "browsers and proxies resolve . and .."),
        ("/gem serve", "use only letters"),
        ("/gem%20serve", "use only letters"),
        ("/gemsérve", "use only letters"),
        ("/gem\\serve", "use only letters"),
        ("/gem\nserve", "use only letters"),
        ("/{item}", "use only letters"),
        ("/" + "a" * 256, "has 257 characters, and may have 256"),
        ("", "is empty"),
    ],
)
def test_what_is_no_prefix_is_refused(path: str, message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SettingsError, match="--root-path: ") as caught:
        read_settings(["--bundles", "out", "--root-path", path])
    assert message in str(caught.value)
    monkeypatch.setenv("GEMSERVE_ROOT_PATH", path)
    with pytest.raises(SettingsError, match="root-path"):
        read_settings(["--bundles", "out"])


@pytest.mark.parametrize("path", ["/gemserve", "/a/b.c/~d/e-f_g", "/" + "a" * 255, "/..a", "/GEMSERVE"])
def test_a_flag_a_variable_and_a_file_may_name_it(path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert read_settings(["--bundles", "out", "--root-path", path]).root_path == path
    file = tmp_path / "gemserve.yaml"
    file.write_text(f"bundles: out\nroot_path: {path}\n")
    assert read_settings(["--config", str(file)]).root_path == path
    monkeypatch.setenv("GEMSERVE_ROOT_PATH", path)
    assert read_settings(["--bundles", "out"]).root_path == path


def test_there_is_none_unless_it_is_named() -> None:
    assert read_settings(["--bundles", "out"]).root_path is None
