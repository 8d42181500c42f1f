"""Runs parts: imports their data, runs their commands, and writes their JSON files with how they were made."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from gemserve.child import run_child
from loadtest.measure.errors import LoadtestError
from loadtest.measure.results.made import commit_of, inputs_digest, is_current, write_measurement
from loadtest.measure.results.parts import PYTHON, DataSet, Part

__all__ = ["MissingDataError", "Places", "Runner"]

UNLESS = "unless"


class MissingDataError(LoadtestError):
    """What a part needs is not on this machine."""


@dataclass(frozen=True, slots=True)
class Places:
    """Folders.

    root: of the repository; the others are relative to it.
    data: of downloaded data sets.
    var: of what is made on the way.
    measurements: of the JSON files.
    """

    root: Path
    data: Path
    var: Path
    measurements: Path


class Runner:
    """Runs parts in one repository; each data set is imported once."""

    def __init__(self, places: Places) -> None:
        self._places = places
        self._imported: set[str] = set()

    def is_current(self, part: Part) -> bool:
        """Whether the part's JSON file was made from the code and data of now. False where the data is not there."""
        try:
            return is_current(self._output(part), self._inputs(part))
        except MissingDataError:
            return False

    def run(self, part: Part) -> None:
        """Raises MissingDataError before anything runs, and LoadtestError where a command fails."""
        inputs = self._inputs(part)
        names = self._names(part, inputs)
        for needed, how in part.needs:
            if not (self._places.root / needed.format(**names)).exists():
                raise MissingDataError(f"{part.name} needs {needed.format(**names)}: {how}")
        if part.data is not None:
            self._import(part.data, names)
        began = time.monotonic()
        steps = [step for command in part.commands if (step := self._step(command, names))]
        for step in steps:
            self._call(step, part.name)
        source = Path(names["json"] if part.report is None else part.report.format(**names))
        content = json.loads((self._places.root / source).read_text(encoding="utf-8"))
        made = self._made(part, steps, inputs, time.monotonic() - began)
        write_measurement(self._output(part), content, made)

    def _output(self, part: Part) -> Path:
        return self._places.root / self._places.measurements / part.output

    def _inputs(self, part: Part) -> str:
        """The digest of the code and data of a part, and of how it is run."""
        root = self._places.root
        files = [root / path for path in part.code]
        files += [root / self._places.measurements / f"{name}.json" for name in part.follows]
        if part.data is not None and part.data.source is not None:
            files.append(self._source(part.data))
        return inputs_digest(root, files, repr(part))

    def _source(self, data: DataSet) -> Path:
        folder = self._places.root / self._places.data / (data.source or "")
        if not folder.is_dir() or not any(folder.iterdir()):
            raise MissingDataError(
                f"{data.name}: there is no {folder}; unpack {data.fetch} there, or name another DATA_DIR"
            )
        return folder

    def _names(self, part: Part, inputs: str) -> Mapping[str, str]:
        var = self._places.var
        json_file = var / "measured" / part.output
        (self._places.root / json_file).parent.mkdir(parents=True, exist_ok=True)
        return {"data": str(self._places.data), "var": str(var), "inputs": inputs, "json": str(json_file)}

    def _import(self, data: DataSet, names: Mapping[str, str]) -> None:
        if data.name not in self._imported:
            self._call([word.format(**names) for word in data.imports], data.name)
            self._imported.add(data.name)

    def _step(self, command: Sequence[str], names: Mapping[str, str]) -> list[str]:
        """The words of a command; none where it need not run."""
        words = [word.format(**names) for word in command]
        if words[0] != UNLESS:
            return words
        return [] if (self._places.root / words[1]).exists() else words[2:]

    def _call(self, words: Sequence[str], name: str) -> None:
        print(f"results: {' '.join(words)}", flush=True)
        command = [sys.executable if word == PYTHON else word for word in words]
        status = run_child(command, cwd=self._places.root)
        if status:
            raise LoadtestError(f"{name}: `{' '.join(words)}` ended with status {status}")

    def _made(self, part: Part, steps: Sequence[Sequence[str]], inputs: str, seconds: float) -> Mapping[str, Any]:
        from loadtest.measure.machine import Machine  # imports torch, which a list of parts need not wait for

        return {
            "command": f"make results ONLY={part.name}",
            "steps": [" ".join(step) for step in steps],
            "machine": asdict(Machine.here()),
            "finished": datetime.now(UTC).isoformat(timespec="seconds"),
            "commit": commit_of(self._places.root, part.code),
            "seconds": round(seconds, 1),
            "inputs": inputs,
        }
