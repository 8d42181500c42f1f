"""A real HAProxy with the configuration of deploy/haproxy, in front of servers of the tests."""

import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from server.storage.managed_redis import free_port
from tests.support.listening import await_port
from tests.support.paths import ROOT

CONFIG = ROOT / "deploy/haproxy/haproxy.cfg"
SERVED_BY = "X-Served-By"
"""The header in which it tells the tests which of the servers answered: s0, s1, …"""


def program() -> str:
    """Raises RuntimeError that says what to install."""
    found = shutil.which("haproxy", path="/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin")
    if found is None:
        raise RuntimeError("there is no haproxy: apt-get install haproxy")
    return found


def check(config: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [program(), "-c", "-f", config], check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def configured(port: int, behind: Sequence[str]) -> str:
    """The configuration with addresses of its own, as an operator writes them, and with SERVED_BY."""
    text, bound = re.subn(r"^    bind .*$", f"    bind 127.0.0.1:{port}", CONFIG.read_text(), flags=re.MULTILINE)
    text, servers = re.subn(r"^    server .*\n", "", text, flags=re.MULTILINE)
    assert bound == 1, "the configuration has one frontend"
    assert servers > 1, "and lists servers"
    lines = [f"    server s{number} {urlsplit(url).netloc}" for number, url in enumerate(behind)]
    return "\n".join([text.rstrip(), f"    http-response set-header {SERVED_BY} %s", *lines, ""])


@contextmanager
def haproxy(folder: Path, behind: Sequence[str]) -> Iterator[str]:
    """Its address, until the end of the block. behind: addresses of the servers.

    Raises RuntimeError with what HAProxy said where it does not start.
    """
    port = free_port()
    config, said = folder / "haproxy.cfg", folder / "haproxy.log"
    config.write_text(configured(port, behind))
    with said.open("wb") as output:
        process = subprocess.Popen([program(), "-db", "-f", config], stdout=output, stderr=subprocess.STDOUT)
    try:
        await_port(port, process, said.read_text)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(30)
