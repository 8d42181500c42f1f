"""Sends searches and recommendations to a server, in a process of its own, as an open or a closed loop:

    python -m loadtest.overload.load_generator --url http://127.0.0.1:8000 --items items.parquet --rate 80 --seconds 20

prints the reply to each as JSON. With `--rate` requests are sent at random moments, that many a second, however slow
the answers are (an open loop). With `--at-once N` the next is sent when one of N has its answer (a closed loop), which
finds the capacity. Locust sends closed loops only.
"""

import argparse
import asyncio
import json
import sys
import time
from collections.abc import Callable, Coroutine, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np
import pyarrow.parquet as pq
import uvloop

from loadtest.locust.zipf import Zipf

__all__ = ["Reply", "closed_loop", "open_loop"]

QUERY_WORDS = 3
"""Words of an item's title in a query."""
MAX_HISTORY = 6
"""Items of a history, at most."""
GRACE_SECONDS = 5.0
"""Time beyond a request's deadline after which it is given up."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What became of a request.

    at: seconds after the start at which it was due.
    seconds: from then to the end of its answer.
    status: the HTTP status; 0 where there was no answer.
    """

    at: float
    seconds: float
    status: int


@dataclass(frozen=True, slots=True)
class Call:
    """A request: arguments of `aiohttp.ClientSession.request`."""

    method: str
    path: str
    arguments: dict[str, Any]


def calls(items: Path, deadline_ms: int | None, seed: int) -> Iterator[Call]:
    """Endless requests: searches for words of titles, and recommendations for a given history, equally likely."""
    table = pq.read_table(items, columns=["item_id", "title"]).to_pylist()
    generator = np.random.default_rng(seed)
    popular = Zipf(table, generator)
    timeout = {} if deadline_ms is None else {"timeout_ms": deadline_ms}
    while True:
        if generator.random() < 0.5:
            item = popular.draw()
            words = (item["title"] or item["item_id"]).split()
            first = int(generator.integers(0, max(1, len(words) - QUERY_WORDS + 1)))
            query = " ".join(words[first : first + QUERY_WORDS])
            yield Call("GET", "/search", {"params": {"q": query, **timeout}})
        else:
            history = [popular.draw()["item_id"] for _ in range(int(generator.integers(1, MAX_HISTORY + 1)))]
            yield Call("POST", "/recommend", {"json": {"history": history, **timeout}})


async def open_loop(
    send: Callable[[], Coroutine[Any, Any, int]], per_second: float, seconds: float, seed: int
) -> list[Reply]:
    """Send requests as a Poisson process, without waiting for the answers to earlier ones."""
    generator = np.random.default_rng(seed)
    began, due, replies = time.perf_counter(), 0.0, []
    async with asyncio.TaskGroup() as group:
        while due < seconds:
            await asyncio.sleep(max(0.0, began + due - time.perf_counter()))
            replies.append(group.create_task(_timed(send, began, due)))
            due += float(generator.exponential(1 / per_second))
    return [reply.result() for reply in replies]


async def closed_loop(send: Callable[[], Coroutine[Any, Any, int]], at_once: int, seconds: float) -> list[Reply]:
    """Keep `at_once` requests under way."""
    began = time.perf_counter()
    replies = []

    async def keep_sending() -> None:
        while (due := time.perf_counter() - began) < seconds:
            replies.append(await _timed(send, began, due))

    async with asyncio.TaskGroup() as group:
        for _ in range(at_once):
            group.create_task(keep_sending())
    return replies


async def _timed(send: Callable[[], Coroutine[Any, Any, int]], began: float, due: float) -> Reply:
    status = await send()
    return Reply(due, time.perf_counter() - began - due, status)


async def ask(options: argparse.Namespace) -> list[Reply]:
    """Send what the command line says."""
    wanted = calls(options.items, options.deadline_ms, options.seed)
    longest = aiohttp.ClientTimeout(GRACE_SECONDS + (options.deadline_ms or 30_000) / 1000)
    async with aiohttp.ClientSession(options.url, connector=aiohttp.TCPConnector(limit=0), timeout=longest) as session:

        async def send() -> int:
            call = next(wanted)
            try:
                async with session.request(call.method, call.path, **call.arguments) as response:
                    await response.read()
                    return response.status
            except (aiohttp.ClientError, TimeoutError):
                return 0

        if options.rate is None:
            return await closed_loop(send, options.at_once, options.seconds)
        return await open_loop(send, options.rate, options.seconds, options.seed)


def main(arguments: Sequence[str] | None = None) -> int:
    """Send the requests and print the replies."""
    parser = argparse.ArgumentParser(prog="python -m loadtest.overload.load_generator", description="Send requests.")
    parser.add_argument("--url", required=True)
    parser.add_argument("--items", type=Path, required=True, help="Parquet file of the items")
    how = parser.add_mutually_exclusive_group(required=True)
    how.add_argument("--rate", type=float, help="requests a second")
    how.add_argument("--at-once", type=int, help="requests under way")
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--deadline-ms", type=int, help="timeout_ms of every request")
    parser.add_argument("--seed", type=int, default=0)
    replies = uvloop.run(ask(parser.parse_args(arguments)))
    json.dump([asdict(reply) for reply in replies], sys.stdout)
    return 0


if __name__ == "__main__":
    sys.exit(main())
