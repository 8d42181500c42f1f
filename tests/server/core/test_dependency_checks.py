"""What is used of other packages beyond what they document: bounded, listed, and looked for at the start."""

import re
import tomllib

import pytest
import uvicorn
from packaging.requirements import Requirement
from redis.asyncio import ConnectionPool
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from server.__main__ import REFUSED, main
from server.app.uvicorn_server import check_libraries
from server.core import dependency_checks
from server.core.dependency_checks import require_members
from server.core.errors import StartupError
from tests.support.paths import ROOT

ROW = re.compile(r"^\| ([a-z.-]+) \| (.+?) \| (.+?) \| (.+?) \|$", re.MULTILINE)


class Library:
    """As somebody else's class."""

    shared = 1

    def __init__(self) -> None:
        self.state = "new"
        self._inner: list[int] = []

    def feed(self, data: bytes, limit: int = 0) -> None: ...

    def close(self) -> None: ...


class Newer(Library):
    """What the next release makes of it."""

    def __init__(self) -> None:
        super().__init__()
        self.more = 1

    def feed(self, data: bytes, *, size: int = 0) -> None: ...


def test_members_that_are_there() -> None:
    methods = {"feed": ("data", "limit"), "close": ()}
    require_members("uvicorn", Library, methods=methods, attributes=("state", "_inner", "shared"))
    require_members("uvicorn", Newer, attributes=("state", "more"))


def test_every_member_that_is_missing_or_other_is_named_with_the_version() -> None:
    with pytest.raises(StartupError) as raised:
        require_members(
            "uvicorn", Newer, methods={"feed": ("data", "limit"), "flush": ()}, attributes=("gone", "state")
        )
    text = str(raised.value)
    assert re.match(r"uvicorn \d+\.\d+\.\d+ is not one that this server knows: of tests\..*\.Newer, ", text)
    assert "feed takes (data, size) and not (data, limit); it has no method flush; it has no attribute gone" in text
    assert "state" not in text


def test_what_is_installed_has_what_the_server_uses() -> None:
    check_libraries()


@pytest.mark.parametrize(
    ("owner", "name"),
    [
        (HttpToolsProtocol, "_start_asgi_task"),
        (HttpToolsProtocol, "on_header"),
        (HttpToolsProtocol, "_unset_keepalive_if_required"),
        (uvicorn.Server, "capture_signals"),
    ],
)
def test_the_server_does_not_start_with_a_library_that_lacks_a_method(
    owner: type, name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delattr(owner, name)
    assert main(["--bundles", "nowhere", "--port", "0"]) == REFUSED
    printed = capsys.readouterr().err
    assert re.search(rf"gemserve: uvicorn \d[\d.]+ is not one .*it has no method {name}", printed)


@pytest.mark.parametrize("owner", [RequestResponseCycle, ConnectionPool])
def test_the_server_does_not_start_with_a_library_that_lacks_an_attribute(
    owner: type, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def renamed(self: object) -> None: ...

    monkeypatch.setattr(owner, "__init__", renamed)
    assert main(["--bundles", "nowhere", "--port", "0"]) == REFUSED
    assert "it has no attribute" in capsys.readouterr().err


def listed() -> dict[str, str]:
    """Every package of the list, and the places that use it."""
    assert dependency_checks.__doc__ is not None
    return {package: places for package, _, places, _ in ROW.findall(dependency_checks.__doc__) if package != "package"}


def requirements() -> dict[str, list[Requirement]]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    texts = [
        *project["dependencies"],
        *project["optional-dependencies"]["cpu"],
        *project["optional-dependencies"]["gpu"],
    ]
    texts += [
        line
        for line in (ROOT / "requirements" / "runtime.in").read_text().splitlines()
        if line and not line.startswith(("#", "-"))
    ]
    found: dict[str, list[Requirement]] = {}
    for text in texts:
        requirement = Requirement(text)
        found.setdefault(requirement.name.removesuffix("-cpu"), []).append(requirement)
    return found


def test_every_package_of_the_list_has_an_upper_bound() -> None:
    assert len(listed()) >= 9
    for package in listed():
        declared = requirements()[package]
        assert len(declared) >= 2, f"{package} is in pyproject.toml and in requirements/runtime.in, or pinned twice"
        for requirement in declared:
            operators = {specifier.operator for specifier in requirement.specifier}
            assert operators & {"<", "==", "~="}, f"{requirement} has no upper bound"


def test_every_place_of_the_list_is_there() -> None:
    for package, places in listed().items():
        for place in places.split(", "):
            folder = ROOT if place.startswith(("trainer", "catalog")) else ROOT / "server"
            assert (folder / place).exists(), f"{package}: {place}"
