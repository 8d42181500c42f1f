"""Programs of others that tests start: when they listen."""

import socket
import subprocess
import time
from collections.abc import Callable

START_SECONDS = 60


def await_port(port: int, process: subprocess.Popen[bytes], said: Callable[[], str]) -> None:
    """Returns when the program listens. Raises RuntimeError with what it said where it ended, or does not."""
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end and process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise RuntimeError(f"{process.args} did not start: {said() or 'it said nothing'}")
