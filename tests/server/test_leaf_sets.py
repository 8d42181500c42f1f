import asyncio
import itertools

import numpy as np
import pytest

from catalog.index import ItemIndex
from server import leaf_sets as module
from server.engine.errors import EngineError
from server.engine.fake import FakeEngine
from server.engine.protocol import RankRequest
from server.leaf_sets import LeafSets

LEAVES = 6


@pytest.fixture
async def engine() -> FakeEngine:
    fake = FakeEngine(ItemIndex.build(np.arange(LEAVES)[:, None], [LEAVES])[0])
    await fake.start()
    return fake


@pytest.fixture
def sets(engine: FakeEngine, monkeypatch: pytest.MonkeyPatch) -> LeafSets:
    monkeypatch.setattr(module, "MOST", 4)
    return LeafSets(engine, 0, LEAVES, itertools.count(1))


def every(step: int) -> np.ndarray:
    return np.arange(LEAVES) % step == 0


async def leaves_of(engine: FakeEngine, number: int) -> list[int]:
    return sorted((await engine.rank(RankRequest([1], LEAVES, LEAVES, "r", leaf_set=number))).leaves)


async def test_a_set_is_made_once_however_many_ask_for_it(engine: FakeEngine, sets: LeafSets) -> None:
    made: list[int] = []

    def members() -> np.ndarray:
        made.append(1)
        return every(2)

    async def ask() -> list[int]:
        async with sets.hold("even", members) as number:
            return await leaves_of(engine, number)

    assert await asyncio.gather(ask(), ask(), ask()) == [[0, 2, 4]] * 3
    assert len(made) == 1


async def test_the_least_recently_used_is_forgotten_but_never_one_in_use(engine: FakeEngine, sets: LeafSets) -> None:
    async with sets.hold("first", lambda: every(2)) as first:
        async with sets.hold("second", lambda: every(3)) as second:
            pass
        for key in "abcd":
            async with sets.hold(key, lambda: every(1)):
                pass
        assert await leaves_of(engine, first) == [0, 2, 4]
    with pytest.raises(EngineError, match=f"leaf set {second} is not installed"):
        await leaves_of(engine, second)
    async with sets.hold("second", lambda: every(3)) as again:
        assert again != second
        assert await leaves_of(engine, again) == [0, 3]


async def test_whoever_waits_for_a_set_that_cannot_be_made_is_told(engine: FakeEngine, sets: LeafSets) -> None:
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
    engine: FakeEngine, sets: LeafSets
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


async def test_retired_sets_are_forgotten_when_their_last_user_has_gone(engine: FakeEngine, sets: LeafSets) -> None:
    async with sets.hold("even", lambda: every(2)) as number:
        retiring = asyncio.create_task(sets.retire())
        await asyncio.sleep(0.01)
        assert await leaves_of(engine, number) == [0, 2, 4]
    await retiring
    with pytest.raises(EngineError, match="not installed"):
        await leaves_of(engine, number)
