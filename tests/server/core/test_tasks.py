import asyncio

import pytest

from server.core.tasks import Poller, Tasks


async def test_work_is_finished_though_the_one_who_waits_gives_up() -> None:
    tasks, done = Tasks(), asyncio.Event()

    async def work() -> int:
        await asyncio.sleep(0.01)
        done.set()
        return 3

    assert await tasks.shield(work()) == 3
    done.clear()
    waiting = asyncio.create_task(tasks.shield(work()))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert not done.is_set()
    await tasks.wait()
    assert done.is_set()


async def test_cancelled_work_ends() -> None:
    tasks = Tasks()
    task = tasks.start(asyncio.sleep(60))
    await tasks.cancel()
    assert task.cancelled()


async def test_a_poller_calls_until_it_is_stopped_and_cancels_the_call_under_way() -> None:
    calls, cancelled = 0, asyncio.Event()
    third = asyncio.Event()

    async def poll() -> None:
        nonlocal calls
        calls += 1
        if calls == 3:
            third.set()
            try:
                await asyncio.sleep(3_600)
            except asyncio.CancelledError:
                cancelled.set()
                raise

    poller = Poller(poll, 0.001)
    await poller.stop()  # before its start: nothing to stop
    poller.start()
    await third.wait()
    await poller.stop()
    assert cancelled.is_set()
    await asyncio.sleep(0.01)
    assert calls == 3
