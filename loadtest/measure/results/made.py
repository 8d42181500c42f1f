"""How a JSON file of docs/measurements was made: the object `made` in it.

command: the command, or the commands, that made it.
machine: where, as loadtest.measure.machine writes it, or its `cpu` and `cores` alone.
finished: the date, or the moment in UTC.
commit: the commit whose code ran, with "+" where its files had been changed; of what was not made by `make results`
    the commit that brought it.
seconds: how long it took; absent where nobody knows.
inputs: a digest of all code and data that decide its figures; absent where it was not made by `make results`.
note: what a reader has to know before the figures; absent where there is nothing.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

__all__ = ["caption", "commit_of", "inputs_digest", "is_current", "read_measurement", "write_measurement"]

SOURCES = {".py", ".yaml", ".yml", ".lua", ".txt"}
"""Endings of the files of a source folder that decide what its code does."""

Measurement = dict[str, Any]


def read_measurement(file: Path) -> Measurement:
    """A file of docs/measurements. Raises ValueError where it does not say how it was made."""
    content: Measurement = json.loads(file.read_text(encoding="utf-8"))
    missing = {"command", "machine", "finished", "commit"} - content.get("made", {}).keys()
    if missing:
        raise ValueError(f"{file}: `made` lacks {', '.join(sorted(missing))}; `make results` writes it")
    return content


def write_measurement(file: Path, content: Mapping[str, Any], made: Mapping[str, Any]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    others = {name: value for name, value in content.items() if name != "made"}
    file.write_text(json.dumps({"made": made, **others}, indent=1) + "\n", encoding="utf-8")


def is_current(file: Path, inputs: str) -> bool:
    """Whether the file is there, made from these inputs."""
    if not file.is_file():
        return False
    made = json.loads(file.read_text(encoding="utf-8")).get("made", {})
    return bool(made.get("inputs") == inputs)


def inputs_digest(root: Path, paths: Iterable[Path], command: str) -> str:
    """A digest of the command and of the names and contents of files.

    root: of a folder below it the sources count, of another one all files; names are relative to it.
    """
    digest = hashlib.sha256(command.encode())
    for file in sorted(file for path in paths for file in _files(path, root)):
        name = file.relative_to(root) if file.is_relative_to(root) else file.name
        digest.update(f"{name}\0{hashlib.sha256(file.read_bytes()).hexdigest()}\n".encode())
    return digest.hexdigest()[:16]


def _files(path: Path, root: Path) -> list[Path]:
    if path.is_file():
        return [path]
    every = not path.is_relative_to(root)  # a folder of data
    return [file for file in path.rglob("*") if file.is_file() and (every or file.suffix in SOURCES)]


def commit_of(root: Path, paths: Sequence[str]) -> str:
    """The commit that is checked out; "unknown" without git.

    paths: of files and folders of the repository; where one of them was changed since, a plus follows.
    """
    try:
        name = _git(root, "rev-parse", "--short", "HEAD")
        return f"{name}+" if _git(root, "status", "--porcelain", "--", *paths) else name
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def _git(root: Path, *arguments: str) -> str:
    found = subprocess.run(["git", *arguments], cwd=root, check=True, capture_output=True, text=True)
    return found.stdout.strip()


def caption(name: str, made: Mapping[str, Any], folder: str) -> str:
    """The line below a table.

    name: of the JSON file.
    folder: the way from the document to docs/measurements.
    """
    machine = made["machine"]
    cores = {1: "one core", 2: "two cores"}.get(machine["cores"], f"{machine['cores']} cores")
    seconds = f", {made['seconds']:,.0f} s" if "seconds" in made else ""
    when = made["finished"][:10]
    where = f"{cores} of {_article(machine['cpu'])}, {when}, commit {made['commit']}{seconds}"
    return f"<sub>[{name}]({folder}/{name}): `{made['command']}`; {where}.</sub>"


def _article(cpu: str) -> str:
    plain = cpu.replace("(R)", "").removesuffix(" Processor")
    return f"an {plain}" if plain[0] in "AEIOU" else f"a {plain}"
