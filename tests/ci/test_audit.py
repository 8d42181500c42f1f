"""A finding fails CI until somebody has reviewed it, and again when the review has expired; no network, no verdict."""

import json
import subprocess
from datetime import date
from pathlib import Path

import pytest

from tests.ci.scripts import FOLDER, load

audit = load("audit")

REPORT = {
    "dependencies": [
        {"name": "sound", "version": "1.0", "vulns": []},
        {"name": "torch", "skip_reason": "not found"},
        {
            "name": "Jinja2",
            "version": "2.4.1",
            "vulns": [{"id": "PYSEC-1", "aliases": ["CVE-1"], "fix_versions": ["2.8.1"], "description": ""}],
        },
    ]
}
FINDING = audit.Finding("Jinja2", "2.4.1", ("PYSEC-1", "CVE-1"), "fixed in 2.8.1")
NODE = {
    "vulnerabilities": {
        "left": {"range": "<2", "via": [{"url": "https://github.com/advisories/GHSA-1", "title": "a hole"}]},
        "right": {"range": "*", "via": ["left"]},
    }
}


def exemption(**changes: object) -> object:
    values = {
        "id": "CVE-1",
        "package": "jinja2",
        "reason": "r",
        "reviewed": date(2026, 1, 1),
        "expires": date(2026, 3, 1),
    }
    return audit.Exemption(**(values | changes))


def test_a_report_is_read() -> None:
    assert audit.python_findings(REPORT) == [FINDING]
    assert audit.skipped(REPORT) == ["torch"]
    assert audit.node_findings(NODE) == [audit.Finding("left", "<2", ("GHSA-1",), "a hole")]
    with pytest.raises(audit.Unreachable, match="405"):
        audit.node_findings({"message": "405 Method Not Allowed"})


@pytest.mark.parametrize(
    ("excuses", "today", "left"),
    [
        ([], date(2026, 2, 1), [FINDING]),
        ([exemption()], date(2026, 2, 1), []),
        ([exemption(id="PYSEC-1")], date(2026, 2, 1), []),
        ([exemption()], date(2026, 3, 1), [FINDING]),
        ([exemption(package="flask")], date(2026, 2, 1), [FINDING]),
        ([exemption(id="CVE-2")], date(2026, 2, 1), [FINDING]),
    ],
)
def test_an_exception_covers_one_finding_of_one_package_until_it_expires(
    excuses: list[object], today: date, left: list[object]
) -> None:
    assert audit.unexcused([FINDING], excuses, today) == left


def test_the_exceptions_that_are_there_can_be_read() -> None:
    audit.read_exemptions(FOLDER / "audit-exceptions.yaml")


@pytest.mark.parametrize(
    "entry",
    [
        "{id: A, package: b, reason: '', reviewed: 2026-01-01, expires: 2026-02-01}",
        "{id: A, package: b, reason: c, reviewed: 2026-01-01}",
        "{id: A, package: b, reason: c, reviewed: 2026-03-01, expires: 2026-02-01}",
    ],
)
def test_an_exception_without_reason_or_end_is_refused(tmp_path: Path, entry: str) -> None:
    path = tmp_path / "exceptions.yaml"
    path.write_text(f"exceptions:\n  - {entry}\n")
    with pytest.raises(audit.AuditError):
        audit.read_exemptions(path)


class Services:
    """Stands where pip-audit and npm do. knows: the service that knows vulnerabilities; None: nobody answers."""

    def __init__(self, knows: str | None) -> None:
        self.knows = knows
        self.asked: list[str] = []

    def run(self, command: list[str], **_: object) -> "subprocess.CompletedProcess[str]":
        if command[0] == "npm":
            answer: object = {"vulnerabilities": {}} if self.knows else {"message": "405"}
        else:
            service, lock = command[2], Path(command[-1])
            self.asked.append(lock.name)
            answer = REPORT if service == self.knows else {"dependencies": [{"name": "jinja2", "skip_reason": "?"}]}
        return subprocess.CompletedProcess(command, 1, json.dumps(answer), "")


@pytest.mark.parametrize("knows", ["osv", "pypi"])
def test_findings_of_a_service_that_can_be_reached_fail(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], knows: str
) -> None:
    services = Services(knows)
    monkeypatch.setattr(subprocess, "run", services.run)
    assert audit.main() == 1
    assert {"cpu.txt", "gpu.txt", "dev.txt"} <= set(services.asked)
    assert "Jinja2 2.4.1: PYSEC-1, CVE-1; fixed in 2.8.1" in capsys.readouterr().out


def test_where_nobody_knows_anything_it_says_so_asks_no_more_and_fails_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    services = Services(None)
    monkeypatch.setattr(subprocess, "run", services.run)
    assert audit.main() == 0
    assert set(services.asked) == {"canary.txt"}
    assert capsys.readouterr().out.count("NOT DONE") == 2


def test_a_program_that_breaks_is_no_verdict(monkeypatch: pytest.MonkeyPatch) -> None:
    broken = subprocess.CompletedProcess([], 2, "", "Traceback\nConnectionError: no route")
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: broken)
    with pytest.raises(audit.Unreachable, match="no route"):
        audit.reachable_service()
