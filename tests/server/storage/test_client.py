"""What a Redis may say of itself, said by a server that says nothing else."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from server.core.errors import HistoryUnavailable
from server.storage.client import RedisClient, Script

SCRIPT = Script("return 1", "a" * 40)
GREETING = b"%1\r\n$5\r\nproto\r\n:3\r\n"
WRONG = [
    "READONLY You can't write against a read only replica.",
    "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
    "LOADING Redis is loading the dataset in memory",
    "MOVED 3999 10.0.0.7:6379",
    "CLUSTERDOWN The cluster is down",
    "CLUSTERDOWN Hash slot not served",
    "NOREPLICAS Not enough good replicas to write.",
    "ERR Error running script (call to f_a): @user_script:1: -READONLY You can't write against a read only replica.",
    "ERR Error running script (call to f_a): @user_script:1: -MOVED 3999 10.0.0.7:6379",
]
RIGHT = [
    ("OOM command not allowed when used memory > 'maxmemory'.", "command not allowed when used memory > 'maxmemory'."),
    ("MISCONF Redis is configured to save RDB snapshots", "MISCONF Redis is configured to save RDB snapshots"),
    ("BUSY Redis is busy running a script.", "BUSY Redis is busy running a script."),
    ("NOPERM this user has no permissions", "this user has no permissions"),
    ("TRYAGAIN Multiple keys request during rehashing of slot", "Multiple keys request during rehashing of slot"),
    ('ERR it\'s "odd" (really)', 'it\'s "odd" (really)'),
]


@asynccontextmanager
async def client_of(*says: str) -> AsyncIterator[tuple[RedisClient, list[int]]]:
    """A client of a server that says one of these on each connection, the last on every further one; and the number of
    commands on each connection."""
    commands: list[int] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        place = len(commands)
        commands.append(0)
        while line := await reader.readline():
            words = []
            for _ in range(int(line[1:])):
                size = int((await reader.readline())[1:])
                words.append((await reader.readexactly(size + 2))[:-2])
            if words[0] == b"EVALSHA":
                commands[place] += 1
                writer.write(f"{says[min(place, len(says) - 1)]}\r\n".encode())
            else:
                writer.write(GREETING if words[0] == b"HELLO" else b"+OK\r\n")
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    client = RedisClient(f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}", 2)
    try:
        yield client, commands
    finally:
        await client.close()
        server.close()


async def run(client: RedisClient) -> object:
    async with client.limit("test", 30.0):
        return await client.run(SCRIPT, ["key"])


@pytest.mark.parametrize("said", WRONG)
async def test_a_write_is_tried_once_more_on_a_new_connection(said: str) -> None:
    async with client_of(f"-{said}", ":7") as (client, commands):
        assert await run(client) == 7
        assert await run(client) == 7
        assert sum(commands[1:]) == 2
        assert commands[0] <= 2  # LOADING is tried on it once more by redis-py


@pytest.mark.parametrize("said", WRONG)
async def test_a_server_that_stays_the_wrong_one_is_an_error_in_its_words(said: str) -> None:
    async with client_of(f"-{said}") as (client, commands):
        with pytest.raises(HistoryUnavailable, match=r"^Redis failed: [^('\"]") as raised:
            await run(client)
        assert said.partition(" ")[2] in str(raised.value)
        assert len(commands) > 1
        assert ("write redis+cluster://" in str(raised.value)) == said.startswith("MOVED")


@pytest.mark.parametrize(("said", "told"), RIGHT)
async def test_any_other_error_costs_no_connection(said: str, told: str) -> None:
    async with client_of(f"-{said}") as (client, commands):
        for _ in range(2):
            with pytest.raises(HistoryUnavailable) as raised:
                await run(client)
            assert str(raised.value) == f"Redis failed: {told}"
        assert commands == [2]


async def test_a_shard_that_hangs_keeps_no_script_from_the_others() -> None:
    """As after a failover: the replica that took over has no scripts, and its users are not the hanging shard's."""
    loaded: list[bytes] = []
    ports: list[int] = []

    def shard(first: int, last: int, port: int) -> str:
        return f"*3\r\n:{first}\r\n:{last}\r\n*3\r\n$9\r\n127.0.0.1\r\n:{port}\r\n$1\r\na\r\n"

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        hangs = writer.get_extra_info("sockname")[1] == ports[0]
        while line := await reader.readline():
            words = []
            for _ in range(int(line[1:])):
                size = int((await reader.readline())[1:])
                words.append((await reader.readexactly(size + 2))[:-2])
            if words[:2] == [b"CLUSTER", b"SLOTS"]:
                answer = f"*2\r\n{shard(0, 8_191, ports[0])}{shard(8_192, 16_383, ports[1])}".encode()
            elif words[0] in {b"HELLO", b"CLUSTER"}:
                answer = GREETING if words[0] == b"HELLO" else b"$0\r\n\r\n"
            elif words[0] == b"EVALSHA":
                answer = b":7\r\n" if loaded else b"-NOSCRIPT No matching script.\r\n"
            else:
                answer = b"+OK\r\n"
            if words[0] == b"SCRIPT":
                if hangs:
                    continue
                loaded.append(words[2])
            writer.write(answer)
        writer.close()

    servers = [await asyncio.start_server(serve, "127.0.0.1", 0) for _ in range(2)]
    ports += sorted(server.sockets[0].getsockname()[1] for server in servers)  # the client takes them in this order
    client = RedisClient(f"redis+cluster://127.0.0.1:{ports[1]}", 2)
    try:
        async with client.limit("test", 5.0):
            assert await client.run(SCRIPT, ["foo"]) == 7  # of slot 12182
        assert loaded == [SCRIPT.text.encode()]
    finally:
        await client.close()
        for server in servers:
            server.close()
