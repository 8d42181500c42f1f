"""Calls of the file system, one after another: noted, refused, or the last thing that a process does.

    python -m tests.faults.file_system FOLDER

publishes into FOLDER/1, FOLDER/2, … beside an older bundle; the n-th time the process that publishes is killed before
its n-th call. Prints at how many points it was killed: at all there are.
"""

import builtins
import io
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

from catalog.bundle.folder import publish
from catalog.bundle.manifest import Manifest

OLD, NEW = "20260101-000000", "20260102-000000"
CALLS = ("mkdir", "open", "fsync", "rename", "replace", "symlink", "unlink", "rmdir")

Step = Callable[[str, str], None]
"""Told the call and its first path before it is made; for a write, the file that is written."""


class Stream:
    """A file open for writing, every write of which is a step."""

    def __init__(self, stream: Any, step: Step) -> None:
        self._stream = stream
        self._step = step

    def write(self, content: Any) -> int:
        half = len(content) // 2
        self._stream.write(content[:half])
        self._stream.flush()
        self._step("write", str(self._stream.name))
        self._stream.write(content[half:])
        return len(content)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def __enter__(self) -> "Stream":
        return self

    def __exit__(self, *raised: object) -> None:
        self._stream.close()


@contextmanager
def watched(step: Step) -> Iterator[None]:
    """Inside, `step` is called before every call that this process makes of the file system, from Python."""
    paths: dict[int, str] = {}
    real_open = io.open

    def watch(name: str) -> Callable[..., Any]:
        real = getattr(os, name)

        def call(path: Any, *arguments: Any, **named: Any) -> Any:
            step(name, paths.get(path, "") if isinstance(path, int) else str(path))
            result = real(path, *arguments, **named)
            if name == "open":
                paths[result] = str(path)
            return result

        return call

    def opening(file: Any, mode: str = "r", *arguments: Any, **named: Any) -> Any:
        if not set(mode) & set("wax+"):
            return real_open(file, mode, *arguments, **named)
        step("create", str(file))
        return Stream(real_open(file, mode, *arguments, **named), step)

    watching: dict[str, Any] = {name: watch(name) for name in CALLS}
    with (
        mock.patch.multiple(os, **watching),
        mock.patch.object(io, "open", opening),
        mock.patch.object(builtins, "open", opening),
    ):
        yield


def at(number: int, act: Callable[[], None]) -> Step:
    """A step that does `act` before the call of this number, from 1."""
    made = 0

    def step(call: str, path: str) -> None:
        nonlocal made
        made += 1
        if made == number:
            act()

    return step


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def manifest(version: str) -> Manifest:
    return Manifest(
        version=version,
        created="2026-01-01T00:00:00+00:00",
        engine="vllm",
        method="gems",
        base_model="tiny",
        identifiers="semantic",
        code_sizes=(4, 8),
        prompt_version=1,
        items=30,
    )


def fill(draft: Path) -> None:
    (draft / "catalog" / "index").mkdir(parents=True)
    for name in ("weights", "catalog/items", "catalog/index/code"):
        with (draft / name).open("wb") as stream:
            for part in range(2):
                stream.write(f"{name} {part}".encode() * 1000)


def main(folder: Path) -> int:
    number = 0
    while True:
        number += 1
        bundles = folder / str(number)
        publish(bundles, manifest(OLD), fill)
        child = os.fork()
        if child == 0:
            with watched(at(number, die)):
                publish(bundles, manifest(NEW), fill)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        if os.WIFEXITED(status):  # it made fewer calls than that
            print(number - 1)
            return os.WEXITSTATUS(status)


if __name__ == "__main__":
    raise SystemExit(main(Path(sys.argv[1])))
