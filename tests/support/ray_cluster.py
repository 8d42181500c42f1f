"""Ray on two nodes, each in a network namespace with an address of its own, on a bridge of this machine.

It needs root, and Ray in the folder that the variable TEST_RAY names:

    uv pip install --target FOLDER -c requirements/cpu.txt -r deploy/ray/requirements.txt
"""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx
import yaml

from tests.support.paths import ROOT

FOLDER = ROOT / "deploy/ray"
INSTALLED = os.environ.get("TEST_RAY")
NETWORK = "10.213.77"
HERE, GCS_PORT, HTTP_PORT = f"{NETWORK}.254", 6380, 8000
START_SECONDS = 180
STARTS = 3
HASTE = '{ echo -8 >/proc/self/autogroup; } 2>/dev/null; exec "$@"'
"""On a busy machine: Ray gives a node 30 s to start, which is fixed in its code."""
ALONE = f'mount --bind "$0" "$1" || exit; shift; {HASTE}'
RAY = (sys.executable, "-m", "ray.scripts.scripts")
SERVE = (sys.executable, "-m", "ray.serve.scripts")


def why_not() -> str | None:
    """Why there can be no such cluster here; None where there can."""
    if INSTALLED is None:
        return "Ray is in a folder of its own: name it in TEST_RAY (tests/support/ray_cluster.py)"
    if os.geteuid() != 0 or shutil.which("ip") is None:
        return "network namespaces need root and iproute2"
    return None


def network(*words: str) -> None:
    subprocess.run(["ip", *words], check=True)


@contextmanager
def bridged(names: Sequence[str]) -> Iterator[None]:
    """Namespaces of these names with the addresses NETWORK.1, NETWORK.2, …; whatever runs in them is ended."""
    bridge = f"gs{os.getpid()}"
    with ExitStack() as undo:
        network("link", "add", bridge, "type", "bridge")
        undo.callback(network, "link", "del", bridge)
        network("addr", "add", f"{HERE}/24", "dev", bridge)
        network("link", "set", bridge, "up")
        for number, name in enumerate(names, start=1):
            network("netns", "add", name)
            undo.callback(network, "netns", "del", name)
            undo.callback(end_all, name)
            network("link", "add", f"{bridge}v{number}", "type", "veth", "peer", "name", "eth0", "netns", name)
            network("link", "set", f"{bridge}v{number}", "master", bridge, "up")
            network("-n", name, "addr", "add", f"{NETWORK}.{number}/24", "dev", "eth0")
            network("-n", name, "link", "set", "lo", "up")
            network("-n", name, "link", "set", "eth0", "up")
        yield


def pids(namespace: str) -> list[int]:
    """Of what runs in it."""
    return [int(pid) for pid in subprocess.check_output(["ip", "netns", "pids", namespace], text=True).split()]


def end_all(namespace: str) -> None:
    """SIGKILL to whatever runs in it, and until nothing does."""
    while found := pids(namespace):
        for pid in found:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        time.sleep(0.05)


class Node:
    """A node of Ray. url: of its HAProxy."""

    def __init__(self, number: int, folder: Path, environment: Mapping[str, str]) -> None:
        """folder: all nodes see one of their own there, as they would on machines of their own."""
        self.name = f"gs{os.getpid()}n{number}"
        self.address = f"{NETWORK}.{number}"
        self.url = f"http://{self.address}:{HTTP_PORT}"
        self._environment = environment
        self._seen, self._own = folder / "ray", folder / self.name
        for each in (self._seen, self._own):
            each.mkdir(exist_ok=True)

    def run(self, *words: str, **more: str) -> subprocess.CompletedProcess[str]:
        """A command on this node. more: environment. Raises RuntimeError with what it said where it fails."""
        alone = ["ip", "netns", "exec", self.name, "sh", "-c", ALONE]
        ran = subprocess.run(
            [*alone, str(self._own), str(self._seen), *words],
            check=False,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**self._environment, **more},
            start_new_session=True,
            timeout=START_SECONDS,
        )
        if ran.returncode != 0:
            raise RuntimeError(f"{words}: {ran.stdout}")
        return ran

    def start(self, *options: str) -> None:
        small = ("--num-cpus", "4", "--num-gpus", "0", "--memory", "2000000000", "--object-store-memory", "100000000")
        command = (*RAY, "start", "--node-ip-address", self.address, "--disable-usage-stats", *small, *options)
        for _ in range(STARTS - 1):
            try:
                self.run(*command)
            except RuntimeError:
                self.kill()
            else:
                return
        self.run(*command)

    def kill(self) -> None:
        """As a machine that loses its power, but for its connections, which are reset."""
        end_all(self.name)
        (self._own / "ray_current_cluster").unlink(missing_ok=True)  # or Ray takes the head for one that runs

    def said(self) -> str:
        """The ends of what Serve, its replicas and we logged."""
        session = next(self._own.glob("session_2*/logs"))
        logs = [*sorted(session.glob("serve/*.log")), *sorted(session.glob("worker-*.out"))]
        return "\n".join(f"{log.name}: {log.read_text()[-1_000:]}" for log in logs)


class RayCluster:
    """Two nodes, the first of which is the head."""

    def __init__(self, folder: Path, redis: str, settings: Mapping[str, str]) -> None:
        """redis: host:port of the Redis of Ray's own state. settings: GEMSERVE_… of the replicas."""
        token = folder / "token"
        token.write_text(secrets.token_hex(32))
        packages = sysconfig.get_path("purelib")
        ours = {
            "PYTHONPATH": os.pathsep.join([str(ROOT), str(FOLDER), packages, str(INSTALLED)]),
            "RAY_SERVE_ENABLE_HA_PROXY": "1",
            "RAY_SERVE_HAPROXY_RETRY_ON": "conn-failure empty-response 503",
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN_PATH": str(token),
            "RAY_REDIS_ADDRESS": redis,
            "RAY_gcs_rpc_server_reconnect_timeout_s": "600",
        }
        self.folder = folder
        self.nodes = [Node(number, folder, {**os.environ, **ours, **settings}) for number in (1, 2)]

    @property
    def head(self) -> Node:
        return self.nodes[0]

    @property
    def gcs(self) -> str:
        return f"{self.head.address}:{GCS_PORT}"

    def start(self, node: Node) -> None:
        """The head first."""
        seen = str(self.folder / "ray")
        head = ("--head", "--port", str(GCS_PORT), "--include-dashboard", "false", "--temp-dir", seen)
        node.start(*(head if node is self.head else ("--address", self.gcs)))

    def deploy(self, version: str) -> None:
        """Have Serve run deploy/ray/serve.yaml, with the application of the tests and this version."""
        config: dict[str, Any] = yaml.safe_load((FOLDER / "serve.yaml").read_text())
        [application] = config["applications"]
        application["import_path"] = "tests.support.ray_application:application"
        [deployment] = application["deployments"]
        deployment["user_config"] = {"version": version}
        file = self.folder / "serve.yaml"
        file.write_text(yaml.safe_dump(config))
        self.head.run(*SERVE, "run", "--non-blocking", "--address", self.gcs, str(file))

    def until(self, condition: Callable[[], bool], what: str) -> None:
        """Raises RuntimeError with what was logged where it does not come about."""
        end = time.monotonic() + START_SECONDS
        while time.monotonic() < end:
            try:
                if condition():
                    return
            except httpx.TransportError:
                pass
            time.sleep(0.2)
        raise RuntimeError(f"{what}: {[node.said() for node in self.nodes]}")


@contextmanager
def ray_cluster(settings: Mapping[str, str]) -> Iterator[RayCluster]:
    """Two nodes that run, and a Redis at HERE for them and their replicas, until the end of the block."""
    with tempfile.TemporaryDirectory(prefix="gs", dir="/tmp", ignore_cleanup_errors=True) as made:  # paths of sockets
        folder = Path(made)
        names = [f"gs{os.getpid()}n{number}" for number in (1, 2)]
        with bridged(names), redis_for_all(folder) as redis:
            url = {"GEMSERVE_REDIS": f"redis://{redis}/0"}
            cluster = RayCluster(folder, redis, {**settings, **url})
            for node in cluster.nodes:
                cluster.start(node)
            yield cluster


@contextmanager
def redis_for_all(folder: Path) -> Iterator[str]:
    """host:port of a Redis that the namespaces reach."""
    binary, port = shutil.which("redis-server"), "6379"
    assert binary is not None
    listens = ("--bind", HERE, "--port", port, "--protected-mode", "no", "--save", "", "--dir", str(folder))
    process = subprocess.Popen([binary, *listens, "--logfile", str(folder / "redis.log")])
    try:
        yield f"{HERE}:{port}"
    finally:
        process.terminate()
        process.wait(30)
