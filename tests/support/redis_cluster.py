"""A real Redis Cluster, three primaries with a replica each, in processes of their own on free loopback ports."""

import contextlib
import signal
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from redis import Redis

from server.storage.keyspace import KEYS
from server.storage.managed_redis import free_port
from tests.support.certificates import Certificate
from tests.support.sentinels import PASSWORD, Process, until

__all__ = ["RedisCluster", "redis_cluster"]

NODE_TIMEOUT_MS = 3_000
"""Short for a test, and long enough that a busy machine is not taken for a lost node."""
PRIMARIES = 3
SLOTS = 16_384


@dataclass
class RedisCluster:
    nodes: list[Process]
    _clients: dict[int, Redis] = field(default_factory=dict)

    @property
    def names(self) -> list[str]:
        return [f"127.0.0.1:{node.port}" for node in self.nodes]

    def url(self, *, user: str = "", away: int = 0) -> str:
        """user: `NAME:PASSWORD@`. away: nodes in front of those that run, where nobody is."""
        tls = self.nodes[0].certificate
        hosts = ",".join([*(f"127.0.0.1:{free_port()}" for _ in range(away)), *self.names[:2]])
        options = "" if tls is None else f"?ssl_ca_certs={tls.file}"
        return f"{'redis' if tls is None else 'rediss'}+cluster://{user}{hosts}/0{options}"

    def client(self, node: Process) -> Redis:
        """The same one each time: with TLS a new one reads all authorities anew."""
        if node.port not in self._clients:
            self._clients[node.port] = node.client()
        return self._clients[node.port]

    def node_of(self, user: str) -> Process:
        """The primary that has a user's keys, as all nodes that run see it."""
        slot = self.ask(self.nodes[-1], "CLUSTER KEYSLOT", KEYS.user_key("history", user))
        ports = {self._owner(node, slot) for node in self.running()}
        assert len(ports) == 1
        return next(node for node in self.nodes if node.port in ports)

    def running(self) -> list[Process]:
        return [node for node in self.nodes if node.running is not None]

    def primaries(self) -> list[Process]:
        return [node for node in self.running() if self.ask(node, "ROLE")[0] in {b"master", "master"}]

    def replicated(self) -> None:
        """All that the primaries acknowledged so far is at their replicas."""
        for node in self.primaries():
            until(partial(self._replicated, node))

    def heal(self) -> None:
        """Starts nodes that were killed, wakes those that were stopped, and waits until each primary has a replica."""
        for node in self.nodes:
            if node.running is None or node.running.poll() is not None:
                node.start()
            else:
                node.running.send_signal(signal.SIGCONT)
        self.wait()

    def wait(self) -> None:
        """Until all nodes see all slots at nodes that are up, and each primary has a replica."""
        until(lambda: all(self._sees_all(node) for node in self.running()))
        until(lambda: len(self.primaries()) == PRIMARIES)
        self.replicated()

    def empty(self) -> None:
        for node in self.primaries():
            self.client(node).flushall()
        self.replicated()

    def close(self) -> None:
        for client in self._clients.values():
            client.close()
        for node in self.nodes:
            node.kill()

    def ask(self, node: Process, *command: object) -> Any:
        return self.client(node).execute_command(*command)

    def _replicated(self, node: Process) -> bool:
        return bool(self.client(node).wait(1, 500) == 1)  # asked before the next turn

    def _sees_all(self, node: Process) -> bool:
        found = self.ask(node, "CLUSTER INFO")
        return found["cluster_state"] == "ok" and int(found["cluster_slots_ok"]) == SLOTS

    def _owner(self, node: Process, slot: int) -> int:
        found = self.ask(node, "CLUSTER", "SLOTS")
        return next(int(primary[1]) for first, last, primary, *_ in found if first <= slot <= last)


@contextlib.contextmanager
def redis_cluster(
    folder: Path, *, secret: bool = False, certificate: Certificate | None = None
) -> Iterator[RedisCluster]:
    """secret: all have a password. certificate: of all, which then take connections with TLS only."""
    common = [
        "cluster-enabled yes",
        f"cluster-node-timeout {NODE_TIMEOUT_MS}",
        "cluster-require-full-coverage no",
        "cluster-replica-validity-factor 0",
        "appendonly yes",
        'save ""',
        "repl-diskless-sync-delay 0",
        *([f"masterauth {PASSWORD}"] if secret else []),
        *(["tls-cluster yes"] if certificate else []),
    ]
    buses = [free_port() for _ in range(2 * PRIMARIES)]
    nodes = [
        Process(
            folder / str(number),
            free_port(),
            [*common, f"cluster-port {bus}"],
            PASSWORD if secret else None,
            certificate=certificate,
        )
        for number, bus in enumerate(buses)
    ]
    found = RedisCluster(nodes)
    try:
        for node in nodes:
            node.start()
        _join(found, buses)
        yield found
    finally:
        found.close()


def _join(cluster: RedisCluster, buses: list[int]) -> None:
    """The first nodes become primaries, each with its part of the slots, and the others their replicas."""
    first, *others = cluster.nodes
    primaries, replicas = cluster.nodes[:PRIMARIES], cluster.nodes[PRIMARIES:]
    bounds = [SLOTS * number // PRIMARIES for number in range(PRIMARIES + 1)]
    for epoch, (node, begin, end) in enumerate(zip(primaries, bounds, bounds[1:], strict=False), 1):
        cluster.ask(node, "CLUSTER", "ADDSLOTSRANGE", begin, end - 1)
        cluster.ask(node, "CLUSTER", "SET-CONFIG-EPOCH", epoch)
    for node, bus in zip(others, buses[1:], strict=True):
        cluster.ask(first, "CLUSTER", "MEET", "127.0.0.1", node.port, bus)
    for node, primary in zip(replicas, primaries, strict=True):
        name = cluster.ask(primary, "CLUSTER MYID")
        until(partial(cluster.ask, node, "CLUSTER", "REPLICATE", name))  # when it knows it
    cluster.wait()
