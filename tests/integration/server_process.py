"""`python -m server` as a process of its own, the way `make serve` starts it."""

import os
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path

READY = re.compile(r"gemserve: ready on (http://\S+) ")
START_SECONDS = 180  # an engine starts in 20; machines here are shared


class ServerProcess:
    """Runs until `stop`; `url` is where it answers, `lines` what it printed."""

    def __init__(self, *arguments: str | Path) -> None:
        command = [sys.executable, "-m", "server", *map(str, arguments)]
        self._process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=os.environ | {"PORT": ""}
        )
        self.lines: list[str] = []
        self.url = ""
        self._ready = threading.Event()
        threading.Thread(target=self._read, daemon=True).start()
        if not self._ready.wait(START_SECONDS) or not self.url:
            self._process.kill()
            raise RuntimeError("the server did not start:\n" + "".join(self.lines[-40:]))

    @property
    def pid(self) -> int:
        return self._process.pid

    def stop(self) -> int:
        """SIGTERM, then the exit status."""
        self._process.send_signal(signal.SIGTERM)
        return self._process.wait(60)

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self.lines.append(line)
            found = READY.search(line)
            if found:
                self.url = found[1]
                self._ready.set()
        self._ready.set()
