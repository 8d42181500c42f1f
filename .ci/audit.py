"""Known vulnerabilities of everything that the lock files name:

    python .ci/audit.py        # or make audit

Status 1 for a finding that audit-exceptions.yaml does not excuse. Where no service that knows vulnerabilities can be
reached, this says so and ends with status 0: a wall around CI is no vulnerability.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[1]
EXCEPTIONS = Path(__file__).with_name("audit-exceptions.yaml")
LOCKS = ("requirements/cpu.txt", "requirements/gpu.txt", "requirements/dev.txt")
NODE_LOCKS = ("clients/typescript", "clients/instantsearch", "tests/e2e")
SERVICES = ("osv", "pypi")
CANARY = (
    "jinja2==2.4.1"  # has been vulnerable for as long as there are lists: a service that does not say so knows none
)
SECONDS = 240  # of one lock file
FIELDS = {"id", "package", "reason", "reviewed", "expires"}


class AuditError(Exception):
    """A file that is not as it must be."""


class Unreachable(Exception):
    """A service does not answer, or knows no vulnerabilities."""


@dataclass(frozen=True, slots=True)
class Finding:
    """names: its id and its aliases."""

    package: str
    version: str
    names: tuple[str, ...]
    advice: str

    def __str__(self) -> str:
        return f"{self.package} {self.version}: {', '.join(self.names)}; {self.advice}"


@dataclass(frozen=True, slots=True)
class Exemption:
    id: str
    package: str
    reason: str
    reviewed: date
    expires: date

    def covers(self, finding: Finding) -> bool:
        return self.package.lower() == finding.package.lower() and self.id in finding.names


def read_exemptions(path: Path) -> list[Exemption]:
    """Raises AuditError for an entry without a reason, a review or an end."""
    entries = yaml.safe_load(path.read_text(encoding="utf-8"))["exceptions"]
    for entry in entries:
        if set(entry) != FIELDS or not all(entry.values()):
            raise AuditError(f"{path}: an exception has exactly {', '.join(sorted(FIELDS))}, none empty: {entry}")
        if not entry["reviewed"] < entry["expires"]:
            raise AuditError(f"{path}: {entry['id']} expires before it was reviewed")
    return [Exemption(**entry) for entry in entries]


def unexcused(findings: Sequence[Finding], exemptions: Sequence[Exemption], today: date) -> list[Finding]:
    valid = [exemption for exemption in exemptions if today < exemption.expires]
    return [finding for finding in findings if not any(exemption.covers(finding) for exemption in valid)]


def python_findings(report: dict[str, Any]) -> list[Finding]:
    """Of what `pip-audit --format json` prints."""
    return [
        Finding(package["name"], package["version"], (found["id"], *found["aliases"]), _advice(found["fix_versions"]))
        for package in report["dependencies"]
        for found in package.get("vulns", ())
    ]


def skipped(report: dict[str, Any]) -> list[str]:
    """Packages that the service does not know, such as builds of torch with a version of their own."""
    return [package["name"] for package in report["dependencies"] if "skip_reason" in package]


def node_findings(report: dict[str, Any]) -> list[Finding]:
    """Of what `npm audit --json` prints. Raises Unreachable where that is no report."""
    if "vulnerabilities" not in report:
        raise Unreachable(f"npm: {report.get('message', 'no report')}")
    return [
        Finding(name, package["range"], (cause["url"].rsplit("/", 1)[-1],), cause["title"])
        for name, package in report["vulnerabilities"].items()
        for cause in package["via"]
        if isinstance(cause, dict)  # else the name of the dependency that is at fault and has its own entry
    ]


def _advice(fixes: Sequence[str]) -> str:
    return f"fixed in {', '.join(fixes)}" if fixes else "no version without it"


def _output(command: Sequence[str], folder: Path) -> dict[str, Any]:
    """What a program printed as JSON; it ends with status 1 for findings too."""
    try:
        ended = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=SECONDS, check=False)
        printed: dict[str, Any] = json.loads(ended.stdout)
    except subprocess.TimeoutExpired as error:
        raise Unreachable(f"{command[0]}: not done within {SECONDS} s") from error
    except json.JSONDecodeError as error:
        last = ended.stderr.strip().splitlines()[-1:] or [f"status {ended.returncode}"]
        raise Unreachable(f"{Path(command[0]).name}: {last[0][:200]}") from error
    return printed


def _pip_audit(lock: Path, service: str) -> dict[str, Any]:
    program = str(Path(sys.executable).with_name("pip-audit"))
    flags = ["--no-deps", "--disable-pip", "--format", "json", "--progress-spinner", "off", "--timeout", "15"]
    return _output([program, "--vulnerability-service", service, *flags, "-r", str(lock)], ROOT)


def reachable_service() -> str:
    """The first that knows what is wrong with the canary. Raises Unreachable with what each said."""
    said = []
    with tempfile.TemporaryDirectory() as folder:
        lock = Path(folder) / "canary.txt"
        lock.write_text(CANARY + "\n", encoding="utf-8")
        for service in SERVICES:
            try:
                if python_findings(_pip_audit(lock, service)):
                    return service
                said.append(f"{service} knows nothing against {CANARY}")
            except Unreachable as error:
                said.append(f"{service}: {error}")
    raise Unreachable("; ".join(said))


def _python() -> Iterator[Finding]:
    service = reachable_service()
    for lock in LOCKS:
        report = _pip_audit(ROOT / lock, service)
        unknown = skipped(report)
        print(f"audit: {lock}: {len(report['dependencies']) - len(unknown)} packages asked of {service}", end="")
        print(f", which does not know {', '.join(unknown)}" if unknown else "")
        yield from python_findings(report)


def _node() -> Iterator[Finding]:
    for folder in NODE_LOCKS:
        yield from node_findings(_output(["npm", "audit", "--package-lock-only", "--json"], ROOT / folder))
        print(f"audit: {folder}/package-lock.json asked of npm")


def main() -> int:
    exemptions = read_exemptions(EXCEPTIONS)
    findings: list[Finding] = []
    for source in (_python, _node):
        try:
            findings += source()
        except Unreachable as error:
            print(f"audit: NOT DONE, no vulnerabilities are known here: {error}")
    bad = sorted(set(map(str, unexcused(findings, exemptions, date.today()))))
    for finding in bad:
        print(f"audit: {finding}; take a fixed version, or review it in {EXCEPTIONS.relative_to(ROOT)}")
    print(f"audit: {len(findings)} findings, {len(bad)} of them not reviewed")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
