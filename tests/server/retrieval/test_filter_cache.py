import asyncio
import itertools
import threading
from collections.abc import Callable, Iterator

import numpy as np
import pytest

from catalog.ids.index import ItemIndex
from server.engine.errors import EngineError
from server.engine.protocol import RankRequest
from server.retrieval import filter_cache as module
from server.retrieval.filter_cache import AT_A_TIME, FilterCache
from tests.support.fake_engine import FakeEngine

LEAVES = 6


@pytest.fixture
async def engine() -> FakeEngine:
    fake = FakeEngine(ItemIndex.build(np.arange(LEAVES)[:, None], [LEAVES])[0])
    await fake.start()
    return fake


@pytest.fixture
def sets(engine: FakeEngine, monkeypatch: pytest.MonkeyPatch) -> FilterCache:
    monkeypatch.setattr(module, "MAX_FILTERS", 4)
    return FilterCache(engine, 0, LEAVES, itertools.count(1))


def every(step: int) -> np.ndarray:
    return np.arange(LEAVES) % step == 0


async def leaves_of(engine: FakeEngine, number: int) -> list[int]:
    return sorted((await engine.rank(RankRequest([1], LEAVES, LEAVES, "r", filter_id=number))).leaves)


async def test_a_set_is_made_once_however_many_ask_for_it(engine: FakeEngine, sets: FilterCache) -> None:
    made: list[int] = []

    def members() -> np.ndarray:
        made.append(1)
        return every(2)

    async def ask() -> list[int]:
        async with sets.hold("even", members) as number:
            return await leaves_of(engine, number)

    assert await asyncio.gather(ask(), ask(), ask()) == [[0, 2, 4]] * 3
    assert len(made) == 1


async def test_the_least_recently_used_is_forgotten_but_never_one_in_use(engine: FakeEngine, sets: FilterCache) -> None:
    async with sets.hold("first", lambda: every(2)) as first:
        async with sets.hold("second", lambda: every(3)) as second:
            pass
        for key in "abcd":
            async with sets.hold(key, lambda: every(1)):
                pass
        assert await leaves_of(engine, first) == [0, 2, 4]
    with pytest.raises(EngineError, match=f"filter {second} is not installed"):
        await leaves_of(engine, second)
    async with sets.hold("second", lambda: every(3)) as again:
        assert again != second
        assert await leaves_of(engine, again) == [0, 3]


async def test_whoever_waits_for_a_set_that_cannot_be_made_is_told(engine: FakeEngine, sets: FilterCache) -> None:
    def broken() -> np.ndarray:
        raise ValueError("no such column")

    async def ask() -> None:
        async with sets.hold("key", broken):
            raise AssertionError("there is no set")

    for outcome in await asyncio.gather(ask(), ask(), return_exceptions=True):
        assert isinstance(outcome, ValueError)
    async with sets.hold("key", lambda: every(5)) as number:
        assert await leaves_of(engine, number) == [0, 5]


async def test_one_who_gives_up_waiting_does_not_take_the_set_from_the_others(
    engine: FakeEngine, sets: FilterCache
) -> None:
    async def ask() -> list[int]:
        async with sets.hold("even", lambda: every(2)) as number:
            return await leaves_of(engine, number)

    impatient, patient = asyncio.create_task(ask()), asyncio.create_task(ask())
    await asyncio.sleep(0)
    impatient.cancel()
    assert await patient == [0, 2, 4]
    with pytest.raises(asyncio.CancelledError):
        await impatient


async def test_retired_sets_are_forgotten_when_their_last_user_has_gone(engine: FakeEngine, sets: FilterCache) -> None:
    async with sets.hold("even", lambda: every(2)) as number:
        retiring = asyncio.create_task(sets.retire())
        await asyncio.sleep(0.01)
        assert await leaves_of(engine, number) == [0, 2, 4]
    await retiring
    with pytest.raises(EngineError, match="not installed"):
        await leaves_of(engine, number)


class Workshop:
    """Makes sets in threads and lets each end only when told."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.together = self.most = 0
        self.go = threading.Event()
        self._lock = threading.Lock()

    def maker(self, name: str) -> Callable[[], np.ndarray]:
        def make() -> np.ndarray:
            with self._lock:
                self.begun.append(name)
                self.together += 1
                self.most = max(self.most, self.together)
            self.go.wait(60)
            with self._lock:
                self.together -= 1
            return every(2)

        return make

    async def until_begun(self, count: int) -> None:
        while len(self.begun) < count:
            await asyncio.sleep(0.001)


@pytest.fixture
def workshop() -> Iterator[Workshop]:
    workshop = Workshop()
    yield workshop
    workshop.go.set()


async def test_few_sets_are_made_at_a_time_and_one_that_is_ready_waits_for_none(
    sets: FilterCache, workshop: Workshop
) -> None:
    async def ask(name: str) -> None:
        async with sets.hold(name, workshop.maker(name)):
            pass

    asking = [asyncio.create_task(ask(str(number))) for number in range(12)]
    await workshop.until_begun(AT_A_TIME)
    async with asyncio.timeout(60), sets.hold("everything", every(1)):
        assert not any(task.done() for task in asking)
    workshop.go.set()
    await asyncio.gather(*asking)
    assert workshop.most == AT_A_TIME
    assert len(workshop.begun) == 12


async def test_a_set_that_nobody_waits_for_any_more_is_not_made(
    engine: FakeEngine, sets: FilterCache, workshop: Workshop
) -> None:
    async def ask(name: str) -> list[int]:
        async with sets.hold(name, workshop.maker(name)) as number:
            return await leaves_of(engine, number)

    first = [asyncio.create_task(ask(str(number))) for number in range(AT_A_TIME)]
    await workshop.until_begun(AT_A_TIME)
    left = asyncio.create_task(ask("left"))
    await asyncio.sleep(0)
    left.cancel()
    with pytest.raises(asyncio.CancelledError):
        await left
    workshop.go.set()
    await asyncio.gather(*first)
    assert await ask("patient") == [0, 2, 4]
    assert "left" not in workshop.begun
    assert await ask("left") == [0, 2, 4]


async def test_a_set_whose_last_waiter_left_while_it_was_made_is_retired_like_any_other(
    engine: FakeEngine, sets: FilterCache, workshop: Workshop
) -> None:
    async def ask() -> None:
        async with sets.hold("even", workshop.maker("even")):
            pass

    asking = asyncio.create_task(ask())
    await workshop.until_begun(1)
    asking.cancel()
    retiring = asyncio.create_task(sets.retire())
    await asyncio.sleep(0)
    workshop.go.set()
    await retiring
    with pytest.raises(EngineError, match="not installed"):
        await leaves_of(engine, 1)
