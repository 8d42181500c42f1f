"""What is missing, empty or misspelt never opens a server.

Every case names what an operator could have meant to close, and what is said instead of starting an open server.
"""

import json
import os
from pathlib import Path

import pytest

from server.core.errors import SettingsError
from server.core.settings import Settings, read_settings
from tests.support.paths import ROOT

LISTS = {"trusted_proxies", "cors_origins"}
TEXTS = sorted(Settings.model_fields.keys() - LISTS - {"engine"})
OPTIONAL = ["keys", "require_keys", "rate_per_second", "rate_burst", "concurrency", "cursor_secret"]
SECRET, OLD = "0123456789abcdef", "fedcba9876543210"


def flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"


@pytest.mark.parametrize("blank", ["", " "])
@pytest.mark.parametrize("name", TEXTS)
def test_an_empty_flag(name: str, blank: str) -> None:
    """As a script writes it whose variable is not set: --keys "$KEYS", or --host "$HOST", which is every address."""
    with pytest.raises(SettingsError, match=f"{flag(name)}: is empty: give it a value, or leave it out"):
        read_settings(["--bundles", "out", f"{flag(name)}={blank}"])


@pytest.mark.parametrize("name", TEXTS)
def test_an_empty_variable(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """As compose and Kubernetes write it whose value is not set: GEMSERVE_KEYS=${KEYS:-}."""
    monkeypatch.setenv(f"GEMSERVE_{name.upper()}", "")
    with pytest.raises(SettingsError, match=f"{flag(name)}: is empty"):
        read_settings([] if name == "bundles" else ["--bundles", "out"])


@pytest.mark.parametrize("text", ["{name}:", "{name}: null", "{name}: ~", '{name}: ""', "{name}: ' '"])
@pytest.mark.parametrize("name", OPTIONAL)
def test_an_empty_line_of_the_file(name: str, text: str, tmp_path: Path) -> None:
    file = tmp_path / "settings.yaml"
    file.write_text("# a server\n" + text.format(name=name))
    with pytest.raises(SettingsError, match=f"line 2: {name} has no value|{flag(name)}: is empty"):
        read_settings(["--bundles", "out", "--config", str(file)])


@pytest.mark.parametrize("word", ["None", "null", "none", "~"])
def test_a_word_for_nothing_names_a_file_of_keys(word: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert read_settings(["--bundles", "out", "--keys", word]).keys == Path(word)
    monkeypatch.setenv("GEMSERVE_KEYS", word)
    assert read_settings(["--bundles", "out"]).keys == Path(word)


def test_two_lines_of_one_setting(tmp_path: Path) -> None:
    file = tmp_path / "settings.yaml"
    file.write_text("open_read: false\nport: 1\nopen_read: true\n")
    with pytest.raises(SettingsError, match="line 3: open_read is set a second time"):
        read_settings(["--bundles", "out", "--config", str(file)])


@pytest.mark.parametrize(
    ("variable", "meant"),
    [
        ("GEMSERVE_KEY", "GEMSERVE_KEYS"),
        ("gemserve_key", "GEMSERVE_KEYS"),
        ("GEMSERVE_REQUIRE_KEY", "GEMSERVE_REQUIRE_KEYS"),
        ("GEMSERVER_KEYS", "GEMSERVE_KEYS"),
        ("GEMSERV_KEYS", "GEMSERVE_KEYS"),
        ("GEM_SERVE_KEYS", "GEMSERVE_KEYS"),
        ("GMESERVE_KEYS", "GEMSERVE_KEYS"),
        ("gemserver_rate_per_second", "GEMSERVE_RATE_PER_SECOND"),
        ("GEMSERVER_ENGINE__MAX_WIDTH", "GEMSERVE_ENGINE__MAX_WIDTH"),
        ("GEMSERV_ENGINE_MAX_WIDTH", "GEMSERVE_ENGINE__MAX_WIDTH"),
        ("GEMSERVE_KEYS__FILE", "GEMSERVE_KEYS"),
        ("GEMSERVE_REQUIRE_KEYS__", "GEMSERVE_REQUIRE_KEYS"),
        ("GEMSERVE__KEYS", "GEMSERVE_KEYS"),
        ("GEMSERVER_KEY", "GEMSERVE_KEYS"),
        ("GEMSERVER_KEYSS", "GEMSERVE_KEYS"),
        ("GEMSERVEKEYS", "GEMSERVE_KEYS"),
        ("GEMSERVE-KEYS", "GEMSERVE_KEYS"),
        ("GEMS_KEYS", "GEMSERVE_KEYS"),
        ("SERVE_KEYS", "GEMSERVE_KEYS"),
        ("serve_require_keys", "GEMSERVE_REQUIRE_KEYS"),
    ],
)
def test_a_misspelt_variable(variable: str, meant: str) -> None:
    with pytest.raises(SettingsError, match=rf"no setting is named {variable} \(did you mean {meant}\?\)"):
        read_settings(["--bundles", "out"], {variable: "keys.json"})


@pytest.mark.parametrize(
    "variables",
    [
        {"gemserve_keys": "keys.json"},
        {"GEMSERVER_PORT": "tcp://10.0.0.1:8000"},
        {"OTHER_KEYS": "a", "KEYS": "b", "PORT": "1", "SERVE_HOST": "c", "_KEYS": "d"},
        {"GEM_HOME": "a", "GEM_PATH": "b", "GEM_KEYS": "c", "RAY_SERVE_KEYS": "d", "SERVE_PORT": "1", "VE_KEYS": "e"},
        {"GEMSERVER_SERVICE_HOST": "10.0.0.1", "GEMSERVER_SERVICE_PORT": "80", "GEMSTONE_KEYS": "f", "GEMSERVE": "g"},
    ],
)
def test_a_variable_of_somebody_else(variables: dict[str, str]) -> None:
    assert read_settings(["--bundles", "out"], variables).bundles == Path("out")


@pytest.mark.parametrize("flags", [["--key", "keys.json"], ["--keys"], ["keys.json"], ["--require-keys"]])
def test_a_misspelt_flag(flags: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        read_settings(["--bundles", "out", *flags])
    assert caught.value.code == 2
    assert flags[0] in capsys.readouterr().err


@pytest.mark.parametrize("value", ["ture", "false ", " false", "nope", "2"])
@pytest.mark.parametrize("name", ["open_read", "open_admin", "require_keys"])
def test_a_misspelt_answer(name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=f"{flag(name)}: Input should be a valid boolean"):
        read_settings(["--bundles", "out", f"{flag(name)}={value}"])


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.0.7", "shop.example", "localhost.example"])
def test_an_address_that_others_reach_needs_keys(host: str) -> None:
    with pytest.raises(SettingsError, match=f"--host {host} is reached from other machines, and there are no keys"):
        read_settings(["--bundles", "out", "--host", host])
    assert read_settings(["--bundles", "out", "--host", host, "--keys", "keys.json"]).keys == Path("keys.json")
    assert read_settings(["--bundles", "out", "--host", host, "--require-keys", "false"]).keys is None


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.9", "::1", "localhost"])
def test_an_address_of_this_machine_needs_none(host: str) -> None:
    assert read_settings(["--bundles", "out", "--host", host]).host == host


@pytest.mark.parametrize("more", [[], ["--open-read", "true"], ["--open-admin", "true"]])
def test_keys_that_are_required_and_not_named(more: list[str]) -> None:
    with pytest.raises(SettingsError, match="--require-keys needs --keys FILE"):
        read_settings(["--bundles", "out", "--require-keys", "true", *more])


@pytest.mark.parametrize(
    "proxies",
    [
        "*",
        "10.0.0.0/33",
        "10.0.0.5/8",
        "proxy",
        "10.0.0.1;10.0.0.2",
        "10.0.0.1,*",
        "0.0.0.0/0",
        "::/0",
        "0.0.0.0/1,128.0.0.0/1",
        "8000::/1,::/1",
        "10.0.0.0/7",
        "::ffff:0:0/96",
        "::ffff:0.0.0.0/97",
        "2000::/3",
        ",".join(f"{n}.0.0.0/8" for n in range(256)),
    ],
)
def test_proxies_that_are_no_addresses(proxies: str) -> None:
    with pytest.raises(SettingsError, match=r"--trusted-proxies: .* may claim any client's address"):
        read_settings(["--bundles", "out", "--trusted-proxies", proxies])


@pytest.mark.parametrize("proxies", ["10.0.0.0/8,172.16.0.0/12,192.168.0.0/16", "fc00::/7", "::ffff:10.0.0.7", "::1"])
def test_networks_of_proxies(proxies: str) -> None:
    assert read_settings(["--bundles", "out", "--trusted-proxies", proxies]).trusted_proxies == proxies.split(",")


@pytest.mark.parametrize("name", sorted(LISTS))
def test_an_empty_list_trusts_nobody(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(f"GEMSERVE_{name.upper()}", " , ")
    assert getattr(read_settings(["--bundles", "out"]), name) == []


@pytest.mark.parametrize(
    "origins",
    [
        "https://a.example,*",
        "*,*",
        "https://*.example",
        "null",
        "https://a.example/*",
        "http://:",
        "http://",
        "http://:80",
        "http://a:",
        "http://a:0",
        "http://a:65536",
        "http://a:b",
        "http://[",
        "http://[::g]",
        "http://a..b",
        "http://[::1]]",
        "http://]",
    ],
)
def test_origins_that_are_none(origins: str) -> None:
    with pytest.raises(SettingsError, match="--cors-origins: "):
        read_settings(["--bundles", "out", "--cors-origins", origins])


@pytest.mark.parametrize(
    "origin", ["http://localhost:3000", "https://[::1]:8443", "https://a-b.example", "http://10.0.0.1"]
)
def test_origins(origin: str) -> None:
    assert read_settings(["--bundles", "out", "--cors-origins", origin]).cors_origins == [origin]


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("redis://h/abc", "no number of a database"),
        ("redis://h/0/1", "no number of a database"),
        ("redis://h/-1", "no number of a database"),
        ("redis://h/\u0661", "no number of a database"),
        ("redis://h/1?db=2", "another as db"),
        ("redis://h?db=abc", "Invalid value for 'db'"),
        ("redis://h?db=", "not NAME=VALUE"),
        ("redis://h?db=1&db=2", "twice"),
        ("redis://h?hunter2=1", "does not know one of its options"),
        ("redis://h?hunter2", "not NAME=VALUE"),
        ("redis://h/0#1", "behind #"),
        ("redis://:hunter2#x@h/0", "%23"),
        ("redis://:hunter2/x@h/0", "%2F"),
        ("redis://:hunter2?x@h/0", "%3F"),
        ("redis://:hunter2@/0", "no host"),
        ("redis://:6379/0", "no host"),
        ("redis:///0", "no host"),
        ("redis:h", "no host"),
        ("redis://h:/0", "no port"),
        ("redis://h:0/0", "no port"),
        ("redis://h:65536/0", "its port"),
        ("redis://[::1/0", "its port"),
        (" redis://h", "begin with"),
        ("redis://h/0 ", "begin with"),
        ("unix://run/redis.sock", "no host"),
        ("unix:///", "no socket"),
        (f"unix:///{'f' * 107}", "its socket's path has 108 bytes, and a socket's has at most 107"),
        (f"unix:///run/{'ä' * 60}/redis.sock?db=1", "its socket's path has 136 bytes"),
        (f"unix:///run/{'%41' * 103}", "its socket's path has 108 bytes"),
        (f"unix://:secret@/{'f' * 200}", "its socket's path has 201 bytes"),
        ("unix://", "no socket"),
    ],
)
def test_a_redis_of_which_a_part_would_be_passed_over(url: str, told: str) -> None:
    with pytest.raises(SettingsError, match="--redis: is no Redis URL, such as redis://HOST:PORT/0: ") as caught:
        read_settings(["--bundles", "out", "--redis", url])
    assert told in str(caught.value)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "redis://h",
        "redis://h/",
        "redis://h/0/",
        "rediss://user:pa%23ss@h:6380/12?ssl_cert_reqs=required",
        "redis://[::1]:6379/0?socket_timeout=5",
        "redis://h?db=2",
        "unix:///run/redis.sock?db=1",
        f"unix:///{'f' * 106}",
        f"unix:///run/{'%41' * 102}",
        "unix://user:password@/run/redis.sock",
    ],
)
def test_a_redis(url: str) -> None:
    assert read_settings(["--bundles", "out", "--redis", url]).redis == url


@pytest.mark.parametrize(
    "flags",
    [
        ["--rate-per-second", "0"],
        ["--rate-per-second", "-1"],
        ["--rate-per-second", "inf"],
        ["--rate-per-second", "nan"],
        ["--rate-per-second", "1", "--rate-burst", "0"],
        ["--concurrency", "0"],
        ["--connections", "0"],
        ["--header-timeout", "inf"],
    ],
)
def test_a_limit_without_an_effect(flags: list[str]) -> None:
    with pytest.raises(SettingsError, match=f"{flags[-2]}: Input should be"):
        read_settings(["--bundles", "out", *flags])


def test_a_burst_without_a_rate() -> None:
    with pytest.raises(SettingsError, match="--rate-burst limits nothing without --rate-per-second"):
        read_settings(["--bundles", "out", "--rate-burst", "5"])


@pytest.mark.parametrize(
    ("secret", "message"),
    [
        (SECRET[:-1], "has 15 characters, and needs at least 16"),
        (" " * 20, "is empty"),
        ("x" * 20, "is easily guessed"),
        (",", "secret 1 of 2 is empty"),
        (f"{SECRET},", "secret 2 of 2 is empty"),
        (f",{SECRET}", "secret 1 of 2 is empty"),
        (f"{SECRET}, ,{OLD}", "secret 2 of 3 is empty"),
        (f"{SECRET},{OLD[:-1]}", "secret 2 of 2 has 15 characters"),
        (f"{SECRET},{'x' * 20}", "secret 2 of 2 is easily guessed"),
    ],
)
@pytest.mark.parametrize("by", ["flag", "variable", "file"])
def test_a_secret_that_is_none(
    by: str, secret: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flags = ["--cursor-secret", secret] if by == "flag" else []
    if by == "variable":
        monkeypatch.setenv("GEMSERVE_CURSOR_SECRET", secret)
    if by == "file":
        (tmp_path / "settings.yaml").write_text(f"cursor_secret: {json.dumps(secret)}")
        flags = ["--config", str(tmp_path / "settings.yaml")]
    with pytest.raises(SettingsError, match=f"--cursor-secret: .*{message}") as caught:
        read_settings(["--bundles", "out", *flags])
    assert not any(part.strip() and part.strip() in str(caught.value) for part in secret.split(",")), caught.value


@pytest.mark.parametrize("text", ["[]", "['']", f"[{SECRET}, '']", f"[{SECRET}, null]", f"[{SECRET}, 7]", "{a: b}"])
def test_a_list_of_secrets_that_is_none(text: str, tmp_path: Path) -> None:
    file = tmp_path / "settings.yaml"
    file.write_text(f"cursor_secret: {text}")
    with pytest.raises(SettingsError, match="--cursor-secret"):
        read_settings(["--bundles", "out", "--config", str(file)])


def test_an_empty_secret_beside_another() -> None:
    """As a script writes it: --cursor-secret "$NEW" --cursor-secret "$OLD"."""
    with pytest.raises(SettingsError, match="--cursor-secret: secret 2 of 2 is empty"):
        read_settings(["--bundles", "out", "--cursor-secret", SECRET, "--cursor-secret", ""])


def test_the_example_needs_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    example = str(ROOT / "docs" / "gemserve.example.yaml")
    settings = read_settings(["--config", example])
    assert settings.keys is not None
    assert settings.require_keys
    assert not settings.open_admin
    monkeypatch.setenv("GEMSERVE_KEYS", "")
    with pytest.raises(SettingsError, match="--keys: is empty"):
        read_settings(["--config", example], os.environ)


def test_no_setting_that_opens_is_on_by_default() -> None:
    settings = read_settings(["--bundles", "out"])
    assert (settings.open_read, settings.open_admin) == (False, False)
    assert (settings.host, settings.trusted_proxies, settings.cors_origins) == ("127.0.0.1", [], [])
