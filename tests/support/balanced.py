"""People who ask a balancer while one of the servers behind it is killed."""

import asyncio
import itertools
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import aiohttp

from tests.support.haproxy import SERVED_BY

CLIENTS = 16


@dataclass(slots=True)
class Counts:
    """What came of questions. by: how many each server answered. failed: what was said instead of an answer."""

    by: Counter[str] = field(default_factory=Counter)
    failed: list[str] = field(default_factory=list)


async def ask_through(
    url: str, headers: Mapping[str, str], count: int, kill: Callable[[], None], *, kill_after: int
) -> tuple[Counts, Counts]:
    """Asks `count` questions by CLIENTS at a time, each once, and kills when so many were answered.

    What came of those that were answered before the kill, and of the others.
    """
    before, after = Counts(), Counts()
    numbers, killed = iter(range(count)), asyncio.Event()

    async def one(session: aiohttp.ClientSession) -> None:
        for number in numbers:
            counts = after if killed.is_set() else before
            asked = {"user": f"user-{number % 97}", "k": "3"}
            try:
                async with session.get(f"{url}/recommend", params=asked) as answer:
                    text = await answer.text()
                    if answer.status == 200:
                        counts.by[answer.headers[SERVED_BY]] += 1
                    else:
                        counts.failed.append(text)
            except aiohttp.ClientError as error:
                counts.failed.append(repr(error))
            if not killed.is_set() and before.by.total() >= kill_after:
                killed.set()
                kill()

    async with aiohttp.ClientSession(headers=headers) as session:
        await asyncio.gather(*itertools.starmap(one, [(session,)] * CLIENTS))
    return before, after
