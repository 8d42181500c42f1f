"""Two machines of one: network namespaces with interfaces to each other, and a folder that each has for itself.

Needs root and `ip` of iproute2.
"""

import os
import shutil
import signal
import subprocess
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

__all__ = ["INTERFACE", "NetworkNode", "can_make_nodes", "two_nodes"]

INTERFACE = "node"
"""The name of every node's own."""


@dataclass(frozen=True)
class NetworkNode:
    """namespace: its name. address: by which the other reaches it. disk: what it sees at the place of `mounted`."""

    namespace: str
    address: str
    disk: Path
    mounted: Path

    def start(self, *words: str | Path, environment: Mapping[str, str]) -> subprocess.Popen[str]:
        """Starts a program on the node, with its output and errors in one pipe."""
        script = 'mount --bind "$1" "$2" && shift 2 && exec "$@"'
        inside = ("sh", "-c", script, "sh", self.disk, self.mounted, *words)
        return subprocess.Popen(
            ["ip", "netns", "exec", self.namespace, *map(str, inside)],
            env=os.environ | dict(environment),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def kill(self) -> None:
        """Kills all that runs on the node."""
        pids = subprocess.run(["ip", "netns", "pids", self.namespace], check=True, capture_output=True, text=True)
        for pid in pids.stdout.split():
            with suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)


def can_make_nodes() -> bool:
    """Whether this user may make network namespaces here."""
    if os.geteuid() != 0 or shutil.which("ip") is None:
        return False
    name = f"gemserve-{uuid.uuid4().hex[:8]}"
    made = subprocess.run(["ip", "netns", "add", name], capture_output=True, check=False).returncode == 0
    subprocess.run(["ip", "netns", "del", name], capture_output=True, check=False)
    return made


@contextmanager
def two_nodes(folder: Path) -> Iterator[tuple[NetworkNode, NetworkNode]]:
    """Two nodes that reach each other alone. All of the disk is common to them but `folder / "out"`.

    What still runs on them is killed in the end.
    """
    name, mounted = f"gemserve-{uuid.uuid4().hex[:8]}", folder / "out"
    mounted.mkdir()
    nodes = []
    for number in range(2):
        disk = folder / f"disk-{number}"
        disk.mkdir()
        nodes.append(NetworkNode(f"{name}-{number}", f"10.231.0.{number + 1}", disk, mounted))
    try:
        for node in nodes:
            _ip("netns", "add", node.namespace)
        first, second = (("netns", node.namespace) for node in nodes)
        _ip("link", "add", INTERFACE, *first, "type", "veth", "peer", INTERFACE, *second)
        for node in nodes:
            _ip("-n", node.namespace, "address", "add", f"{node.address}/24", "dev", INTERFACE)
            for interface in ("lo", INTERFACE):
                _ip("-n", node.namespace, "link", "set", interface, "up")
        yield nodes[0], nodes[1]
    finally:
        for node in nodes:
            with suppress(subprocess.CalledProcessError):
                node.kill()
            subprocess.run(["ip", "netns", "del", node.namespace], capture_output=True, check=False)


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)
