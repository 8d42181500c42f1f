"""Somebody who reads a document and tries what it shows, from the first example to the last, in one folder.

Addresses and keys are those of a server that runs. `gemserve serve` starts the documentation's store and stops it
when it is ready; curl fails where it is answered an error.
"""

import ast
import asyncio
import inspect
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson
import yaml

from server.auth.key_file import read as read_keys
from tests.docs.console import Step, agrees, keeps, promise_of, promises_of, steps_of, values_of
from tests.docs.examples import ROOT, Example, examples_of
from tests.docs.serving import Store
from tests.support.node_clients import INSTANTSEARCH, TYPESCRIPT, build

PYTHON = f"""#!/bin/sh
if [ "$1 $2" = "-m server" ]; then shift 2; exec {sys.executable} -m tests.docs.serve_briefly "$@"; fi
exec {sys.executable} "$@"
"""
GEMSERVE = f"""#!/bin/sh
if [ "$1" = serve ]; then shift; exec {sys.executable} -m tests.docs.serve_briefly "$@"; fi
exec {sys.executable} -m gemserve "$@"
"""
CURL = """#!/bin/sh
exec {curl} --silent --show-error --fail-with-body --write-out '\n' "$@"
"""
TSCONFIG = """{
  "compilerOptions": {
    "strict": true, "target": "es2022", "module": "nodenext", "lib": ["es2022", "dom", "dom.asynciterable"], "types": []
  },
  "files": ["example.ts"]
}"""
CURL_REFUSED = 22  # its status where it was answered an error
PROBLEM = "urn:gemserve:problem:"
SECONDS = 120
LATER = re.compile(r"# (a second|seconds) later$")
"""At the end of a command that asks for what is not there at once: it is asked again until it is."""


class Failed(Exception):
    """An example that does not do what the document says."""


class Reader:
    """folder: an empty one to work in.

    exact: whether what a command prints must have the values of the document, or only their shape.
    renamed: words of the document, and what they are called where it is read.
    """

    def __init__(
        self, folder: Path, store: Store, *, exact: bool = False, renamed: Mapping[str, str] | None = None
    ) -> None:
        self._folder = folder
        self._store = store
        self._exact = exact
        self._renamed = dict(renamed or {})
        self._names: dict[str, Any] = {}
        self._printed = ""
        (folder / "bin").mkdir(parents=True)
        self._tool("python", PYTHON)
        self._tool("gemserve", GEMSERVE)
        self._tool("curl", CURL.format(curl=shutil.which("curl")))
        (folder / "var").mkdir()
        (folder / "var/redis").symlink_to(self._store.redis_folder)
        (folder / "gemserve.yaml").write_text("bundles: bundles\nhistory_days: 30\n", encoding="utf-8")

    def read_all(self, document: Path) -> None:
        """Its examples, in their order. Raises AssertionError, which names the example."""
        for example in examples_of(document):
            if example.language and example.not_run is None:
                try:
                    self.read(example)
                except Exception as error:
                    raise AssertionError(f"{example}: {error}") from error

    def read(self, example: Example) -> None:
        """Raises Failed, and whatever the example raises."""
        how = {
            "sh": self._shell,
            "console": self._console,
            "python": self._python,
            "ts": self._typescript,
            "json": orjson.loads,
            "yaml": yaml.safe_load,
            "nginx": _nginx,
        }
        how[example.language](self._made_real(example.text))

    def _made_real(self, text: str) -> str:
        text = text.replace("http://127.0.0.1:8000", self._store.url)
        for word, name in self._renamed.items():
            text = text.replace(word, name)
        text = text.replace("redis://127.0.0.1:6379/0", self._store.redis).replace("gsk_…", self._store.key)
        keys = self._folder / "keys.json"
        if keys.exists():
            text = text.replace("3f1c0a9be277", read_keys(keys)[0].id)
        return text

    def _shell(self, text: str) -> None:
        self._printed = self._run(text, may_be_refused=False)

    def _console(self, text: str) -> None:
        """A block without a command shows the end of what the block before it printed."""
        if not text.startswith("$ "):
            self._compare(text, self._printed.splitlines()[-1])
            return
        for step in steps_of(text):
            self._step(step)

    def _step(self, step: Step) -> None:
        patient_until = time.monotonic() + (SECONDS if LATER.search(step.command) else 0)
        while True:
            printed = self._run(step.command, may_be_refused=PROBLEM in step.output)
            try:
                if step.output:
                    self._compare(step.output, printed)
                return
            except Failed:
                if time.monotonic() >= patient_until:
                    raise
            time.sleep(0.5)

    def _compare(self, promised: str, printed: str) -> None:
        if self._exact:
            kept = agrees(promises_of(promised), values_of(printed))
        else:
            kept = keeps(promise_of(promised), orjson.loads(printed))
        if not kept:
            raise Failed(f"the document says\n{promised}\nand this came\n{printed}")

    def _run(self, command: str, *, may_be_refused: bool) -> str:
        done = subprocess.run(
            ["bash", "-euc", command],
            cwd=self._folder,
            env=os.environ | self._variables(command),
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
        if done.returncode not in ({0, CURL_REFUSED} if may_be_refused else {0}):
            raise Failed(f"{command}\nended with status {done.returncode}:\n{done.stdout}{done.stderr}")
        return done.stdout

    def _variables(self, command: str) -> dict[str, str]:
        """A command that finds the Redis by its folder is not helped by its address."""
        redis = {} if "GEMSERVE_MANAGED_REDIS=" in command else {"GEMSERVE_REDIS": self._store.redis}
        return redis | {
            "PATH": f"{self._folder / 'bin'}:{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT),
            "KEY": self._store.key,
            "GEMSERVE_PORT": "0",
        }

    def _python(self, text: str) -> None:
        code = compile(text, "example", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
        result = eval(code, self._names)
        if inspect.iscoroutine(result):
            asyncio.run(result)

    def _typescript(self, text: str) -> None:
        """Checked against the clients' types, and run."""
        packages = self._folder / "node_modules/@gemserve"
        packages.mkdir(parents=True)
        (packages / "client").symlink_to(TYPESCRIPT)
        (packages / "instantsearch").symlink_to(INSTANTSEARCH)
        (self._folder / "package.json").write_text('{"type": "module"}', encoding="utf-8")
        (self._folder / "tsconfig.json").write_text(TSCONFIG, encoding="utf-8")
        (self._folder / "example.ts").write_text(text, encoding="utf-8")
        build(TYPESCRIPT, *[INSTANTSEARCH] * ("@gemserve/instantsearch" in text))
        self._run(str(TYPESCRIPT / "node_modules/.bin/tsc"), may_be_refused=False)
        self._run("node example.js", may_be_refused=False)

    def _tool(self, name: str, script: str) -> None:
        file = self._folder / "bin" / name
        file.write_text(script, encoding="utf-8")
        file.chmod(0o755)


def _nginx(text: str) -> None:
    """Blocks end where they should; tests/e2e/test_behind_proxy.py, a slow test, starts nginx with them."""
    assert text.count("{") == text.count("}") > 0
