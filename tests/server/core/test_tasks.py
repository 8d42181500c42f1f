import asyncio

import pytest

from server.core.tasks import Tasks


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
