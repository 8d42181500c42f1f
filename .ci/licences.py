"""The licence of every package that the lock files name, from the metadata of what is installed:

    python .ci/licences.py             # writes docs/licences.md; or make licences
    python .ci/licences.py --check     # status 1 where a licence is not allowed or the list is not current

licences.yaml beside it says which are allowed.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from license_expression import ExpressionError, LicenseExpression, Licensing
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
RULES = Path(__file__).with_name("licences.yaml")
LIST = ROOT / "docs" / "licences.md"
INSTALLED_LOCKS = ("requirements/cpu.txt", "requirements/dev.txt")
GPU_LOCK = "requirements/gpu.txt"
NODE_LOCKS = tuple(f"{name}/package-lock.json" for name in ("clients/typescript", "clients/instantsearch", "tests/e2e"))


@dataclass(frozen=True, slots=True)
class Rules:
    """names: what packages write, in SPDX's words. exceptions: the licence and the reason of reviewed packages."""

    allowed: frozenset[str]
    names: Mapping[str, str]
    exceptions: Mapping[str, tuple[str, str]]

    @classmethod
    def read(cls, path: Path) -> Rules:
        rules = yaml.safe_load(path.read_text(encoding="utf-8"))
        exceptions = {entry["package"]: (entry["licence"], entry["reason"]) for entry in rules["exceptions"]}
        return cls(frozenset(rules["allowed"]), rules["names"], exceptions)

    def refuse(self, package: str, licence: str) -> str | None:
        """Why the package may not be used under this licence; None where it may."""
        if package in self.exceptions:
            reviewed, _ = self.exceptions[package]
            return None if reviewed == licence else f"was reviewed as {reviewed} and is {licence} now"
        try:
            allowed = self._allows(Licensing().parse(licence))
        except ExpressionError:
            allowed = False
        return None if allowed else f"{licence} is not allowed"

    def _allows(self, tree: LicenseExpression) -> bool:
        match type(tree).__name__:
            case "AND":
                return all(map(self._allows, tree.args))
            case "OR":
                return any(map(self._allows, tree.args))
        return str(tree) in self.allowed

    def licence_of(self, metadata: Any) -> str:
        """An SPDX expression, or what the package says where it has no other name."""
        if expression := metadata.get("License-Expression"):
            return str(expression)
        classifiers = [
            one.split(" :: ")[-1] for one in metadata.get_all("Classifier", []) if one.startswith("License ::")
        ]
        named = [self.names[classifier] for classifier in classifiers if classifier in self.names]
        if named:
            return " AND ".join(sorted(set(named)))
        said = (metadata.get("License") or "").strip().partition("\n")[0].strip()
        return self.names.get(said, said or "unknown")


def locked(file: Path) -> set[str]:
    """Names of the packages that a lock file installs here."""
    lines = (line.partition("#")[0].strip() for line in file.read_text(encoding="utf-8").splitlines())
    requirements = [Requirement(line) for line in lines if line and not line.startswith("-")]
    return {canonicalize_name(one.name) for one in requirements if one.marker is None or one.marker.evaluate()}


def licences(rules: Rules) -> dict[str, str]:
    """By package. Raises importlib.metadata.PackageNotFoundError for one that is locked and not installed."""
    names = set[str]().union(*(locked(ROOT / lock) for lock in INSTALLED_LOCKS))
    return {name: rules.licence_of(importlib.metadata.metadata(name)) for name in sorted(names)}


def node_licences(rules: Rules) -> dict[str, str]:
    """By package, as the lock files of npm say; "unknown" where they do not."""
    said = dict[str, str]()
    for lock in NODE_LOCKS:
        for path, package in json.loads((ROOT / lock).read_text(encoding="utf-8"))["packages"].items():
            if path.startswith("node_modules/") and not package.get("link"):
                licence = package.get("license", "unknown")
                said[path.rpartition("node_modules/")[2]] = rules.names.get(licence, licence)
    return dict(sorted(said.items()))


def write_list(found: Mapping[str, str], of_node: Mapping[str, str], rules: Rules, only_gpu: set[str]) -> str:
    rows, node_rows = (
        [f"| {package} | {licence.replace('|', '/')} |" for package, licence in some.items()]
        for some in (found, of_node)
    )
    excepted = [
        f"| {package} | {licence} | {reason} |"
        for package, (licence, reason) in sorted(rules.exceptions.items())
        if package in found or package in of_node
    ]
    return "\n".join(
        [
            "# Licences",
            "",
            "Of every package in `requirements/cpu.txt` and `requirements/dev.txt`, as its metadata says. Written by",
            "`make licences`; [`.ci/licences.yaml`](../.ci/licences.yaml) lists those that are allowed.",
            "",
            "| package | licence |",
            "|---|---|",
            *rows,
            "",
            "Of every package that builds or tests the clients for JavaScript, as the lock files of npm say. Who uses",
            "one of these clients installs none of them.",
            "",
            "| package | licence |",
            "|---|---|",
            *node_rows,
            "",
            "Others that were looked at one by one:",
            "",
            "| package | licence | why it may be used |",
            "|---|---|---|",
            *excepted,
            "",
            "Only on GPUs, and not installed where this list was made: " + ", ".join(sorted(only_gpu)) + ".",
            "Those of NVIDIA come under its own terms, which allow their use and not their change.",
            "",
        ]
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="write nothing")
    options = parser.parse_args()
    rules = Rules.read(RULES)
    found, of_node = licences(rules), node_licences(rules)
    every = [*found.items(), *of_node.items()]
    refusals = {package: refusal for package, licence in every if (refusal := rules.refuse(package, licence))}
    for package, refusal in refusals.items():
        print(f"licences: {package}: {refusal}; leave it out, or review it in {RULES.relative_to(ROOT)}")
    text = write_list(found, of_node, rules, locked(ROOT / GPU_LOCK) - set(found))
    if not options.check:
        LIST.write_text(text, encoding="utf-8")
    elif not LIST.exists() or LIST.read_text(encoding="utf-8") != text:
        print(f"licences: {LIST.relative_to(ROOT)} is not current: run make licences")
        return 1
    print(f"licences: {len(every)} packages, {len(refusals)} not allowed")
    return 1 if refusals else 0


if __name__ == "__main__":
    sys.exit(main())
