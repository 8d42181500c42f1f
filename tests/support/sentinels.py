"""A real primary, a real replica and a real Sentinel, in processes of their own on free loopback ports."""

import contextlib
import shutil
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from server.storage.managed_redis import free_port
from tests.support.certificates import Certificate

SERVICE = "shop"
PASSWORD = "hunter2@home"
SENTINEL_PASSWORD = "sentinel/7"
PATIENCE_SECONDS = 120.0


def client_of(
    port: int, password: str | None = None, authority: Path | None = None, *, check_hostname: bool = True
) -> Redis:
    tls: dict[str, Any] = {"ssl": True, "ssl_ca_certs": str(authority), "ssl_check_hostname": check_hostname}
    tls = {} if authority is None else tls
    return Redis("127.0.0.1", port, password=password, socket_timeout=2.0, retry=Retry(NoBackoff(), 0), **tls)


@dataclass
class Process:
    """A redis-server, or one that is a Sentinel, which keeps its port and data when it is started again."""

    folder: Path
    port: int
    lines: list[str]
    password: str | None = None
    sentinel: bool = False
    certificate: Certificate | None = None
    running: subprocess.Popen[bytes] | None = None

    def start(self, *, check_hostname: bool = True) -> None:
        file = self.folder / "redis.conf"
        if not file.exists():
            self.folder.mkdir(parents=True)
            common = ["bind 127.0.0.1", f"dir {self.folder}", "logfile redis.log", *self._ports()]
            secret = [f"requirepass {self.password}"] if self.password else []
            file.write_text("\n".join([*common, *secret, *self.lines, ""]))
        binary = shutil.which("redis-server")
        assert binary is not None
        self.running = subprocess.Popen([binary, str(file), *(["--sentinel"] if self.sentinel else [])])
        with self.client(check_hostname=check_hostname) as client:
            until(lambda: bool(client.ping()))

    def _ports(self) -> list[str]:
        if self.certificate is None:
            return [f"port {self.port}"]
        file, key = self.certificate
        own = [f"tls-cert-file {file}", f"tls-key-file {key}", f"tls-ca-cert-file {file}", "tls-auth-clients no"]
        return ["port 0", f"tls-port {self.port}", "tls-replication yes", *own]

    def client(self, *, check_hostname: bool = True) -> Redis:
        authority = self.certificate and self.certificate.file
        return client_of(self.port, self.password, authority, check_hostname=check_hostname)

    def kill(self) -> None:
        if self.running is not None:
            self.running.kill()
            self.running.wait()
            self.running = None


@dataclass
class Cluster:
    one: Process
    other: Process
    sentinel: Process

    def url(self, service: str = SERVICE, *, away: int = 0) -> str:
        """away: Sentinels in front of the one that runs, where nobody is."""
        hosts = ",".join(f"127.0.0.1:{port}" for port in [*(free_port() for _ in range(away)), self.sentinel.port])
        tls = self.one.certificate
        user = ":hunter2%40home@" if self.one.password else ""
        options = ["sentinel_password=sentinel%2F7"] if self.sentinel.password else []
        options += [f"ssl_ca_certs={quote(str(tls.file), safe='')}"] if tls else []
        scheme = "rediss+sentinel" if tls else "redis+sentinel"
        return f"{scheme}://{user}{hosts}/{service}/0{'?' if options else ''}{'&'.join(options)}"

    def replicated(self) -> None:
        """All that the primary acknowledged so far is at its replica."""
        with self.one.client() as client:
            until(lambda: client.wait(1, 500) == 1)

    def fail_over(self) -> None:
        """As an operator does before maintenance: the old primary lives on, as a replica."""
        with self.sentinel.client() as client:
            until(lambda: bool(client.execute_command("SENTINEL", "FAILOVER", SERVICE)))
        until(lambda: self.primary() == self.other.port)
        with self.one.client() as client:  # which the Sentinel does within ten seconds
            client.slaveof("127.0.0.1", self.other.port)

    def primary(self) -> int:
        with self.sentinel.client() as client:
            return int(client.sentinel_get_master_addr_by_name(SERVICE)[1])


def until(true: object) -> None:
    """Waits until a function is true, however often it raises RedisError before."""
    assert callable(true)
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        with contextlib.suppress(RedisError):
            if true():
                return
        assert time.monotonic() < deadline
        time.sleep(0.02)


@contextlib.contextmanager
def cluster(
    folder: Path, *, secret: bool = False, debug: bool = False, certificate: Certificate | None = None
) -> Iterator[Cluster]:
    """`one` is the primary, `other` its replica, and the Sentinel knows both.

    secret: each side has its password. certificate: of all three, which then take connections with TLS only.
    """
    password = PASSWORD if secret else None
    common = [
        "appendonly yes",
        'save ""',
        "repl-diskless-sync-delay 0",
        *(["enable-debug-command yes"] if debug else []),
    ]
    common += [f"masterauth {PASSWORD}"] if secret else []
    one = Process(folder / "one", free_port(), common, password)
    other = Process(folder / "other", free_port(), [*common, f"replicaof 127.0.0.1 {one.port}"], password)
    watch = [
        f"sentinel monitor {SERVICE} 127.0.0.1 {one.port} 1",
        f"sentinel down-after-milliseconds {SERVICE} 2000",
        f"sentinel failover-timeout {SERVICE} 3000",
        *([f"sentinel auth-pass {SERVICE} {PASSWORD}"] if secret else []),
    ]
    sentinel = Process(folder / "sentinel", free_port(), watch, SENTINEL_PASSWORD if secret else None, sentinel=True)
    processes = [one, other, sentinel]
    for process in processes:
        process.certificate = certificate
    try:
        one.start()
        other.start()
        found = Cluster(one, other, sentinel)
        found.replicated()
        sentinel.start()
        with sentinel.client() as client:
            until(lambda: _slaves_up(client))
        yield found
    finally:
        for process in processes:
            process.kill()


def _slaves_up(sentinel: Redis) -> bool:
    states = sentinel.sentinel_slaves(SERVICE)
    return bool(states) and all(not state["is_sdown"] and state["master-link-status"] == "ok" for state in states)
