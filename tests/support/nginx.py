"""A real nginx on a loopback port, with its files in one folder, in front of a server of the tests."""

import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from server.storage.managed_redis import free_port
from tests.support.listening import await_port
from tests.support.paths import ROOT

CONFIG = """
pid {folder}/pid;
error_log {folder}/error.log;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    server {{
        listen 127.0.0.1:{port};
        {locations}
    }}
}}
"""


def documented_locations() -> tuple[str, ...]:
    """What docs/operations.md tells operators to write: first the proxy that takes the prefix off, then the other."""
    return tuple(re.findall(r"```nginx\n(.*?)```", (ROOT / "docs/operations.md").read_text(), re.DOTALL))


@contextmanager
def nginx(folder: Path, locations: str, behind: str) -> Iterator[str]:
    """Its address, until the end of the block. behind: the server's, which stands for port 8000 of the locations.

    Raises RuntimeError that says what to install, or with what nginx said where it does not start.
    """
    program = shutil.which("nginx", path="/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin")
    if program is None:
        raise RuntimeError("there is no nginx: apt-get install nginx-light")
    port = free_port()
    own = locations.replace("127.0.0.1:8000", urlsplit(behind).netloc)
    config = folder / "nginx.conf"
    config.write_text(CONFIG.format(folder=folder, port=port, locations=own))
    errors = folder / "error.log"
    # One process and no master: workers of a root's nginx are another user, who may not read the folder.
    command = [program, "-p", folder, "-c", config, "-e", errors, "-g", "daemon off; master_process off;"]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    try:
        await_port(port, process, lambda: errors.read_text() if errors.exists() else "")
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(30)
