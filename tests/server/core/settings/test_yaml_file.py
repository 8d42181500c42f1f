from pathlib import Path

import pytest

from server.core.errors import SettingsError
from server.core.settings import read_settings
from tests.support.paths import ROOT

EXAMPLE = ROOT / "docs" / "gemserve.example.yaml"


@pytest.fixture
def written(tmp_path: Path):
    def write(text: str) -> list[str]:
        path = tmp_path / "settings.yaml"
        path.write_text(text, encoding="utf-8")
        return ["--config", str(path)]

    return write


def test_the_example_loads() -> None:
    settings = read_settings(["--config", str(EXAMPLE)])
    assert settings.keys == Path("/etc/gemserve/keys.json")
    assert settings.cors_origins == ["https://shop.example"]
    assert settings.trusted_proxies == ["127.0.0.1"]
    assert settings.engine.max_width == 200


def test_a_flag_wins_over_a_variable_and_a_variable_over_the_file(written, monkeypatch: pytest.MonkeyPatch) -> None:
    flags = written("bundles: a\nport: 1\nhistory_days: 1\nengine: {seed: 1, max_width: 300}\nopen_read: true\n")
    monkeypatch.setenv("GEMSERVE_PORT", "2")
    monkeypatch.setenv("GEMSERVE_HISTORY_DAYS", "2")
    monkeypatch.setenv("GEMSERVE_ENGINE__SEED", "2")
    settings = read_settings([*flags, "--port", "3"])
    assert (settings.port, settings.history_days, settings.bundles, settings.open_read) == (3, 2, Path("a"), True)
    assert (settings.engine.seed, settings.engine.max_width) == (2, 300)


def test_a_variable_may_name_the_file(written, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GEMSERVE_CONFIG", written("bundles: a\nport: 1\n")[1])
    assert read_settings([]).port == 1


def test_an_empty_file_says_nothing(written) -> None:
    assert read_settings([*written("# nothing yet\n"), "--bundles", "a"]).port == 8000


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("prot: 1", r"no setting is named prot \(did you mean port\?\)"),
        ("engine: {max_widht: 1}", r"no setting is named engine\.max_widht \(did you mean max_width\?\)"),
        ("xyzzy: 1", r"no setting is named xyzzy; --help lists them"),
        ("beam-width: 10", r"did you mean beam_width\?"),
        ("1: 2", "no setting is named 1"),
        ("- port", "is a list: write one setting a line"),
        ("port: [", "is not YAML"),
        ("bundles: !!python/object/apply:os.system [id]", "is not YAML"),
        ("config: other.yaml", "names no other one"),
    ],
)
def test_what_is_refused(written, text: str, message: str) -> None:
    flags = written(text)
    with pytest.raises(SettingsError, match=message) as caught:
        read_settings([*flags, "--bundles", "a"])
    assert flags[1] in str(caught.value)


def test_a_value_that_does_not_fit_is_told_like_a_flags(written) -> None:
    with pytest.raises(SettingsError, match="--port: Input should be less than or equal to 65535"):
        read_settings([*written("port: 70000"), "--bundles", "a"])


def test_the_help_names_the_file(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        read_settings(["--help"])
    said = " ".join(capsys.readouterr().out.split())
    assert "--config Path YAML file of settings" in said
    assert "A flag wins over its variable" in said
    assert "a variable over the file of --config" in said
