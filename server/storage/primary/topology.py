"""Which node of a Redis Cluster takes the commands of which slot, by what its nodes say.

Several nodes are asked at once, in the background, so that no caller's time limit ends it. Where two nodes claim a
slot, the newer configuration (by its epoch) is believed, as the cluster itself does: a primary that was cut off goes on
claiming what it had.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError

from server.core.settings.cluster_url import ClusterUrl
from server.storage.primary.address import Address
from server.storage.primary.asking import ask_all
from server.storage.primary.time_limit import time_limit

__all__ = ["IS_CLUSTER", "SLOTS", "ClusterUnknown", "Topology", "WrongKind", "merged", "unknown"]

SLOTS = 16_384
ANSWER_SECONDS = 2.0  # of one node
PAUSE_SECONDS = 0.1  # between two times of asking
PATIENCE_SECONDS = 0.1  # of a caller, after nobody answered
ASKED = 5  # of the nodes that are known, beside those of the URL
WITHOUT_CLUSTER = ("cluster support disabled", "Cluster mode is not enabled")
"""As Redis and redis-py say it."""
IS_CLUSTER = "this Redis is a node of a cluster: write redis+cluster:// or rediss+cluster:// in the place of its scheme"
IS_NO_CLUSTER = "this Redis is no node of a cluster: write redis:// or rediss:// in the place of its scheme"


class ClusterUnknown(RedisConnectionError):
    """No node says which nodes there are, or none has the slot."""


class WrongKind(ClusterUnknown):
    """A Redis without cluster mode where the URL names a cluster, or the other way round."""


class Claim(NamedTuple):
    """first, last: of the slots. epoch: of the configuration by which the node has them."""

    first: int
    last: int
    node: Address
    epoch: int


View = Sequence[Claim]
"""What one node says."""
Owners = list[Address | None]
"""By slot."""


class Topology:
    """Where each slot is, as far as is known."""

    def __init__(self, url: ClusterUrl) -> None:
        self._url = url
        self._owners: Owners | None = None
        self._asking: asyncio.Task[Owners] | None = None
        self._asked = -PAUSE_SECONDS
        self._failure: BaseException | None = None
        self.nodes: frozenset[Address] = frozenset()
        """Those that have slots."""

    async def known(self) -> None:
        """Returns when it is known where slots are. Raises ClusterUnknown."""
        if self._owners is None:
            asking = self.refresh()
            await asyncio.wait({asking}, timeout=PATIENCE_SECONDS if self._failure else None)
            if self._owners is None:
                failure = self._failure or asking.exception()
                raise failure if isinstance(failure, ClusterUnknown) else ClusterUnknown(str(failure))

    def owner(self, slot: int) -> Address:
        """The node that has it. Raises ClusterUnknown."""
        found = None if self._owners is None else self._owners[slot]
        if found is None:
            raise ClusterUnknown(f"no node of the cluster has the slot {slot}: assign all {SLOTS} of them")
        return found

    def moved(self, slot: int, node: Address) -> None:
        """A node said that another has the slot; it has probably more of them."""
        if self._owners is not None:
            self._owners[slot] = node
        self.refresh()

    def refresh(self) -> asyncio.Task[Owners]:
        """Begins to ask, where nobody does."""
        if self._asking is None or self._asking.done():
            self._asking = asyncio.create_task(self._ask())
            self._asking.add_done_callback(self._keep)
        return self._asking

    async def close(self) -> None:
        if self._asking is not None:
            self._asking.cancel()
            await asyncio.gather(self._asking, return_exceptions=True)

    def _keep(self, asked: asyncio.Task[Owners]) -> None:
        if asked.cancelled():
            return
        self._failure = asked.exception()
        if self._failure is None:
            before, found = self._owners or [None] * SLOTS, asked.result()
            self._owners = [new or old for new, old in zip(found, before, strict=True)]
            self.nodes = frozenset(node for node in self._owners if node is not None)

    async def _ask(self) -> Owners:
        loop = asyncio.get_running_loop()
        await asyncio.sleep(max(0.0, self._asked + PAUSE_SECONDS - loop.time()))
        self._asked = loop.time()
        some = random.sample(sorted(self.nodes), min(ASKED, len(self.nodes)))
        urls = dict.fromkeys([*(self._url.of(*node) for node in some), *self._url.seeds])
        answers = await ask_all([_view(url) for url in urls], lambda answer: not isinstance(answer, Exception))
        views = [answer for answer in answers if answer is not None and not isinstance(answer, Exception)]
        if not any(views):
            raise unknown([answer for answer in answers if isinstance(answer, Exception)])
        return merged(views)


def merged(views: Sequence[View]) -> Owners:
    """By slot the node whose claim is of the newest configuration; None where nobody has it."""
    owners: Owners = [None] * SLOTS
    for claim in sorted((claim for view in views for claim in view), key=lambda claim: claim.epoch):
        owners[claim.first : claim.last + 1] = [claim.node] * (claim.last + 1 - claim.first)
    return owners


async def _view(url: str) -> View | Exception:
    try:
        client = Redis.from_url(url, retry=Retry(NoBackoff(), 0), socket_timeout=None, socket_connect_timeout=None)
        async with time_limit(ANSWER_SECONDS), client, client.pipeline(transaction=False) as pipeline:
            pipeline.execute_command("CLUSTER", "SLOTS")
            pipeline.execute_command("CLUSTER", "NODES")
            slots, nodes = await pipeline.execute()
            asked: Any = client.connection_pool.connection_kwargs
            return _claims(slots, _epochs(nodes), asked["host"])
    except (RedisError, OSError) as error:  # TimeoutError is an OSError
        return error


def _epochs(nodes: bytes | str) -> dict[str, int]:
    """Of each node's configuration, by the node's id."""
    text = nodes.decode() if isinstance(nodes, bytes) else nodes
    rows = (line.split() for line in text.splitlines())
    return {row[0]: int(row[6]) for row in rows if len(row) > 6}


def _claims(slots: Sequence[Any], epochs: Mapping[str, int], asked: str) -> View:
    """asked: the host that says so, which stands for a host that is left out."""
    found = []
    for first, last, (host, port, name, *_), *_ in slots:
        at = (host or b"").decode()
        found.append(Claim(first, last, Address(asked if at in {"", "?"} else at, port), epochs.get(name.decode(), 0)))
    return found


def unknown(failures: Sequence[Exception]) -> ClusterUnknown:
    """failures: of the nodes that were asked, or of those that say nothing."""
    if any(words in str(failure) for words in WITHOUT_CLUSTER for failure in failures):
        return WrongKind(IS_NO_CLUSTER)
    said = "; ".join(sorted({str(failure).rstrip(".") or type(failure).__name__ for failure in failures}))
    return ClusterUnknown(f"no node says what the cluster is: {said or 'none of its nodes has a slot'}")
