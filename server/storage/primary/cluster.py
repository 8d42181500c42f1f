"""Commands to a Redis Cluster: each goes to the node that has the slot of its key, and follows a slot that moves.

Each node has connections of its own, so a node that is away or hangs holds up nobody but those whose keys it has. Where
one has not answered within a caller's limit, a single command at a time goes on trying it, and others fail at once.
"""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Literal, NamedTuple, Self

from redis.asyncio import Redis
from redis.commands import AsyncCoreCommands
from redis.crc import key_slot
from redis.event import EventDispatcher
from redis.exceptions import AskError, ClusterDownError, MovedError, RedisError, TryAgainError
from redis.exceptions import ConnectionError as RedisConnectionError

from server.core.settings.cluster_url import ClusterUrl
from server.storage.primary.address import Address
from server.storage.primary.pool import Pool
from server.storage.primary.topology import Topology

__all__ = ["ClusterCommands", "ClusterPipeline", "NodeAway"]

ATTEMPTS = 6  # of a command whose slot moves
TRY_AGAIN_SECONDS = 0.02
SCRIPTS = frozenset({"EVAL", "EVALSHA"})
FIRST_KEY_OF_SCRIPT = 3


class NodeAway(RedisConnectionError):
    """A node of the cluster cannot be reached, or does not answer; its address stands in the message."""


class Command(NamedTuple):
    """What redis-py is given of one command."""

    arguments: tuple[Any, ...]
    options: Mapping[str, Any]

    @property
    def slot(self) -> int:
        """Of its first key; all its keys must share it."""
        key = self.arguments[FIRST_KEY_OF_SCRIPT if self.arguments[0] in SCRIPTS else 1]
        return key_slot(key if isinstance(key, bytes) else str(key).encode())


class Node:
    """One node, and its connections."""

    def __init__(self, address: Address, url: ClusterUrl, connections: int, topology: Topology) -> None:
        self.name = f"{address.host}:{address.port}"
        self._pool: Pool = Pool.from_url(url.of(*address), **Pool.common(connections))
        self.redis = Redis.from_pool(self._pool)
        self._free = asyncio.Semaphore(connections)
        self._topology = topology
        self._answered = self._left_alone = 0.0
        self._silent = self._tried = False

    async def run(self, commands: Sequence[Command], *, asking: bool = False) -> list[Any]:
        """What it says to each, errors among them. asking: it is about to get the slots of these."""
        if self._silent and self._tried:
            return [NodeAway(f"{self.name} does not answer")] * len(commands)
        self._tried = True
        try:
            async with self._free, self.redis.pipeline(transaction=False) as pipeline:
                for command in commands:
                    if asking:
                        pipeline.execute_command("ASKING")
                    pipeline.execute_command(*command.arguments, **command.options)
                answers: list[Any] = await pipeline.execute(raise_on_error=False)
        except (RedisError, OSError) as error:
            self._topology.refresh()
            return [NodeAway(f"{self.name}: {error}")] * len(commands)
        except asyncio.CancelledError:
            self._left_alone = time.monotonic()
            raise
        finally:
            self._tried = False
        self._answered, self._silent = time.monotonic(), False
        return answers[1::2] if asking else answers

    async def give_up(self, began: float) -> bool:
        """Whether it was left alone since then without an answer. Its idle connections are closed if so."""
        if self._left_alone < began or self._answered >= began:
            return False
        self._silent = True
        self._topology.refresh()
        await self._pool.drop_idle()
        return True

    async def close(self) -> None:
        await self.redis.aclose()
        await self._pool.aclose()


class ClusterCommands(AsyncCoreCommands):
    """The commands of redis-py, which must have a key, and `pipeline`. It connects when it is first used."""

    _is_async_client: Literal[True] = True  # by which redis-py types what its commands return
    _event_dispatcher = EventDispatcher()  # which it wants, and tells nothing of a cluster's commands

    def __init__(self, url: ClusterUrl, connections: int) -> None:
        """connections: to each node at a time; commands beyond wait for one of them."""
        self._url, self._connections = url, connections
        self._topology = Topology(url)
        self._nodes: dict[Address, Node] = {}

    async def execute_command(self, *arguments: Any, **options: Any) -> Any:
        (answer,) = await self.run([Command(arguments, options)])
        if isinstance(answer, Exception):
            raise answer
        return answer

    def pipeline(self) -> ClusterPipeline:
        return ClusterPipeline(self)

    async def nodes(self) -> list[Node]:
        """All that have slots. Raises ClusterUnknown."""
        await self._topology.known()
        return [self._node(address) for address in sorted(self._topology.nodes)]

    async def one_for_each_node(self, keys: Sequence[str]) -> dict[str, str]:
        """The first of the keys that each node has, by its HOST:PORT. Raises ClusterUnknown."""
        await self._topology.known()
        found: dict[str, str] = {}
        for key in keys:
            found.setdefault(self._node(self._topology.owner(key_slot(key.encode()))).name, key)
        return found

    async def run(self, commands: Sequence[Command]) -> list[Any]:
        """The answer to each, errors among them; those to one node in one round trip.

        Raises ClusterUnknown where no node says what the cluster is.
        """
        await self._topology.known()
        answers: dict[int, Any] = {}
        todo = list(range(len(commands)))
        for attempt in range(ATTEMPTS):
            answers |= await self._run_each(commands, todo, answers)
            todo = [place for place in todo if isinstance(answers[place], AskError | TryAgainError)]
            if not todo or attempt == ATTEMPTS - 1:
                break
            for place in todo:
                self._follow(commands[place], answers[place])
            if any(isinstance(answers[place], TryAgainError) for place in todo):
                await asyncio.sleep(TRY_AGAIN_SECONDS)
        if any(isinstance(answer, ClusterDownError) for answer in answers.values()):
            self._topology.refresh()
        return [answers[place] for place in range(len(commands))]

    async def give_up(self, began: float) -> list[str]:
        """The nodes that were asked since then and did not answer."""
        return [node.name for node in list(self._nodes.values()) if await node.give_up(began)]

    async def aclose(self) -> None:
        await self._topology.close()
        for node in self._nodes.values():
            await node.close()

    async def _run_each(
        self, commands: Sequence[Command], todo: Sequence[int], before: Mapping[int, Any]
    ) -> dict[int, Any]:
        """By place. before: what was said to them, which may be where else to ask."""
        places: defaultdict[tuple[Address, bool], list[int]] = defaultdict(list)
        for place in todo:
            said = before.get(place)
            if isinstance(said, AskError) and not isinstance(said, MovedError):
                places[Address(said.host, said.port), True].append(place)
            else:
                places[self._topology.owner(commands[place].slot), False].append(place)
        calls = [
            self._node(there).run([commands[place] for place in some], asking=asking)
            for (there, asking), some in places.items()
        ]
        if len(calls) == 1:
            found = [await calls[0]]
        else:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(call) for call in calls]
            found = [task.result() for task in tasks]
        return {
            place: answer
            for some, answers in zip(places.values(), found, strict=True)
            for place, answer in zip(some, answers, strict=True)
        }

    def _follow(self, command: Command, said: RedisError) -> None:
        if isinstance(said, MovedError):
            host = said.host or self._topology.owner(command.slot).host
            self._topology.moved(said.slot_id, Address(host, said.port))

    def _node(self, address: Address) -> Node:
        if address not in self._nodes:
            self._nodes[address] = Node(address, self._url, self._connections, self._topology)
        return self._nodes[address]


class ClusterPipeline(AsyncCoreCommands):
    """Commands that are sent together, those to one node in one round trip; no transaction."""

    _is_async_client: Literal[True] = True
    _event_dispatcher = EventDispatcher()

    def __init__(self, cluster: ClusterCommands) -> None:
        self._cluster = cluster
        self._commands: list[Command] = []

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._commands = []

    def execute_command(self, *arguments: Any, **options: Any) -> Self:
        self._commands.append(Command(arguments, options))
        return self

    async def execute(self, raise_on_error: bool = True) -> list[Any]:
        """The answers in order. Raises the first that is an error, unless errors shall be among them."""
        commands, self._commands = self._commands, []
        answers = await self._cluster.run(commands) if commands else []
        if raise_on_error:
            for answer in answers:
                if isinstance(answer, Exception):
                    raise answer
        return answers
