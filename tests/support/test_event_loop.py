"""What holds the event loop is measured as it is."""

import asyncio
import gc
import threading
import time
from collections.abc import Iterator

import pytest

from tests.support.event_loop import SCHEDULER, watched_turns


@pytest.fixture(autouse=True)
def no_collection() -> Iterator[None]:
    """One of all that a process of tests has imported would be a turn of half a second."""
    gc.disable()
    yield
    gc.enable()


def work(seconds: float) -> None:
    until = time.thread_time() + seconds
    while time.thread_time() < until:
        pass


async def test_a_turn_is_all_that_is_ready_at_once() -> None:
    async def half() -> None:
        work(0.03)

    async with watched_turns() as turns:
        await asyncio.gather(half(), half())
    assert 0.06 <= turns.longest < 0.2


async def test_turns_that_follow_each_other_are_not_one() -> None:
    async with watched_turns() as turns:
        for _ in range(4):
            work(0.03)
            await asyncio.sleep(0)
    assert 0.03 <= turns.longest < 0.06


async def test_a_last_turn_counts() -> None:
    async with watched_turns() as turns:
        await asyncio.sleep(0.01)
        work(0.05)
    assert turns.longest >= 0.05


async def test_a_thread_that_keeps_the_interpreters_lock_blocks() -> None:
    assert SCHEDULER.exists()
    async with watched_turns() as turns:
        await asyncio.to_thread(lambda: sum(range(20_000_000)))  # one call of C code
    assert turns.longest_blocked > 0.05
    assert turns.longest < 0.05


async def test_a_thread_that_gives_it_away_does_not_block() -> None:
    done = threading.Event()

    def steps() -> None:
        for _ in range(50):
            work(0.005)
            time.sleep(0.001)
        done.set()

    async with watched_turns() as turns:
        await asyncio.to_thread(steps)
    assert done.is_set()
    assert turns.longest_blocked < 0.1
