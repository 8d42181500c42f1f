"""Visitors who do not wait for each other: a process of its own that sends searches and recommendations.

    python -m loadtest.visitors --url http://127.0.0.1:8000 --items items.parquet --rate 80 --seconds 20

prints what became of each as JSON. With `--rate` they come at random, that many a second, however slow the answers are
(an open loop); with `--at-once N` the next comes when one of N has its answer (a closed one), which finds the capacity.
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

from loadtest.locust.draws import Zipf

__all__ = ["Reply", "closed_loop", "open_loop"]

WORDS = 3  # of an item's title make a query
MOST_VISITS = 6  # in a history
GRACE_SECONDS = 5.0  # beyond a question's deadline before its client gives up


@dataclass(frozen=True, slots=True)
class Reply:
    """at: seconds after the start at which the question was due. seconds: from then to the end of its answer.

    status: of HTTP, 0 for none.
    """

    at: float
    seconds: float
    status: int


@dataclass(frozen=True, slots=True)
class Call:
    """To `session.request`."""

    method: str
    path: str
    arguments: dict[str, Any]


def calls(items: Path, deadline_ms: int | None, seed: int) -> Iterator[Call]:
    """Searches for words of titles, and recommendations to visitors who bring a history, in equal parts for ever."""
    table = pq.read_table(items, columns=["item_id", "title"]).to_pylist()
    generator = np.random.default_rng(seed)
    popular = Zipf(table, generator)
    timeout = {} if deadline_ms is None else {"timeout_ms": deadline_ms}
    while True:
        if generator.random() < 0.5:
            item = popular.draw()
            words = (item["title"] or item["item_id"]).split()
            first = int(generator.integers(0, max(1, len(words) - WORDS + 1)))
            query = " ".join(words[first : first + WORDS])
            yield Call("GET", "/search", {"params": {"q": query, **timeout}})
        else:
            history = [popular.draw()["item_id"] for _ in range(int(generator.integers(1, MOST_VISITS + 1)))]
            yield Call("POST", "/recommend", {"json": {"history": history, **timeout}})


async def open_loop(
    send: Callable[[], Coroutine[Any, Any, int]], per_second: float, seconds: float, seed: int
) -> list[Reply]:
    """Sends at random moments (Poisson's), whatever became of those before."""
    generator = np.random.default_rng(seed)
    began, due, replies = time.perf_counter(), 0.0, []
    async with asyncio.TaskGroup() as group:
        while due < seconds:
            await asyncio.sleep(max(0.0, began + due - time.perf_counter()))
            replies.append(group.create_task(_timed(send, began, due)))
            due += float(generator.exponential(1 / per_second))
    return [reply.result() for reply in replies]


async def closed_loop(send: Callable[[], Coroutine[Any, Any, int]], at_once: int, seconds: float) -> list[Reply]:
    """Keeps that many under way."""
    began = time.perf_counter()
    replies = []

    async def keep_asking() -> None:
        while (due := time.perf_counter() - began) < seconds:
            replies.append(await _timed(send, began, due))

    async with asyncio.TaskGroup() as group:
        for _ in range(at_once):
            group.create_task(keep_asking())
    return replies


async def _timed(send: Callable[[], Coroutine[Any, Any, int]], began: float, due: float) -> Reply:
    status = await send()
    return Reply(due, time.perf_counter() - began - due, status)


async def ask(options: argparse.Namespace) -> list[Reply]:
    """As the command line says."""
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
    """Ask, and print the replies."""
    parser = argparse.ArgumentParser(prog="python -m loadtest.visitors", description="Send questions.")
    parser.add_argument("--url", required=True)
    parser.add_argument("--items", type=Path, required=True, help="Parquet file of the items")
    how = parser.add_mutually_exclusive_group(required=True)
    how.add_argument("--rate", type=float, help="questions a second")
    how.add_argument("--at-once", type=int, help="questions under way")
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--deadline-ms", type=int, help="timeout_ms of every question")
    parser.add_argument("--seed", type=int, default=0)
    replies = uvloop.run(ask(parser.parse_args(arguments)))
    json.dump([asdict(reply) for reply in replies], sys.stdout)
    return 0


if __name__ == "__main__":
    sys.exit(main())
