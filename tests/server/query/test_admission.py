"""The queue before the engine: what it is for under load, and that no slot is ever lost."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import REGISTRY

from server.core.errors import OVERLOADED, Problem
from server.core.settings import Settings
from server.engine.protocol import Ranking, RankRequest
from server.query.admission import AdmissionQueue, Priority
from tests.support.http_shop import Shop
from tests.support.problems import assert_problem
from tests.support.simulated_engine import CAPACITY, Outcome, Traffic, percentile, simulate
from tests.support.small_shop import RecordingEngine, publish_names
from tests.support.virtual_time import run

LOADS = (0.5, 1.0, 2.0, 4.0)


def at_every_load(deadlines: Sequence[float], *, queue: bool) -> dict[float, Outcome]:
    return {load: run(simulate(Traffic(load=load, deadlines=deadlines), queue=queue)) for load in LOADS}


@pytest.mark.parametrize("deadlines", [(1.0,), (0.2, 0.5, 1.0, 2.0, 5.0)])
def test_too_many_queries_leave_as_many_answered_in_time_as_the_engine_can_answer(deadlines: Sequence[float]) -> None:
    outcomes = at_every_load(deadlines, queue=True)
    peak = max(outcome.goodput for outcome in outcomes.values())
    assert peak > 0.9 * CAPACITY
    for load in (2.0, 4.0):
        outcome = outcomes[load]
        assert outcome.goodput > 0.95 * peak
        assert percentile(outcome.used, 0.99) <= 1
        assert percentile(outcome.refused, 0.9) < 0.2 * min(deadlines[-1], 1.0)
    assert len(outcomes[0.5].refused) < 0.02 * len(outcomes[0.5].used)


@pytest.mark.parametrize("deadlines", [(1.0,), (0.2, 0.5, 1.0, 2.0, 5.0)])
def test_without_the_queue_they_do_not(deadlines: Sequence[float]) -> None:
    outcomes = at_every_load(deadlines, queue=False)
    peak = max(outcome.goodput for outcome in outcomes.values())
    for load in (2.0, 4.0):
        assert outcomes[load].goodput < 0.75 * peak
        assert outcomes[load].late > 0.5 * len(outcomes[load].used)


def test_lines_of_a_batch_are_all_answered_beside_too_many_shoppers() -> None:
    alone, beside = (run(simulate(Traffic(load=2.0, batch=batch, seconds=40.0))) for batch in (0, 200))
    assert beside.lines == 200
    assert beside.goodput > 0.95 * alone.goodput  # the lines among them
    assert percentile(beside.used, 0.99) <= 1


def test_a_slower_engine_gets_less_to_do_and_all_of_it_again_when_it_has_recovered() -> None:
    def slowdown(time: float) -> float:
        return 3.0 if 20 <= time < 40 else 1.0

    outcome = run(simulate(Traffic(load=1.5, seconds=60.0, slowdown=slowdown)))
    assert outcome.goodput_between(5, 20) > 0.9 * CAPACITY
    assert outcome.goodput_between(22, 40) > 0.9 * CAPACITY / 3
    assert outcome.goodput_between(42, 60) > 0.9 * CAPACITY


def test_an_engine_that_stood_still_is_not_taken_to_stand_still_for_ever() -> None:
    def slowdown(time: float) -> float:
        return 1e6 if 10 <= time < 15 else 1.0

    outcome = run(simulate(Traffic(load=1.5, seconds=30.0, slowdown=slowdown)))
    assert outcome.goodput_between(17, 30) > 0.9 * CAPACITY


def virtual(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """The test, run in virtual time with a queue of two slots, in which two more wait."""

    def run_it() -> None:
        async def with_queue() -> None:
            queue = AdmissionQueue(2, 2, asyncio.get_running_loop().time)
            await test(queue)
            assert (queue.running, queue.waiting) == (0, 0)

        run(with_queue())

    run_it.__name__ = test.__name__
    return run_it


async def hold(
    queue: AdmissionQueue, seconds: float, deadline: float = 1e9, *, priority: Priority = "interactive"
) -> float:
    """Holds a slot for so long; when it got it."""
    loop = asyncio.get_running_loop()
    async with queue.slot(loop.time() + deadline, priority=priority):
        got = loop.time()
        await asyncio.sleep(seconds)
        return got


def start(*work: Coroutine[Any, Any, float]) -> list[asyncio.Task[float]]:
    return [asyncio.create_task(each) for each in work]


async def results(tasks: Sequence[asyncio.Task[float]]) -> list[float | str]:
    """Of each, when it got its slot, or why it got none."""
    ended = await asyncio.gather(*tasks, return_exceptions=True)
    return [
        end.kind.code if isinstance(end, Problem) else end if isinstance(end, float) else repr(end) for end in ended
    ]


def value_of(metric: str, **labels: str) -> float:
    value = REGISTRY.get_sample_value(metric, labels)
    assert value is not None
    return value


def refused(reason: str) -> float:
    return value_of("gemserve_queue_refused_total", reason=reason)


@pytest.fixture
def settings(tmp_path: Path, request: pytest.FixtureRequest) -> Settings:
    publish_names(tmp_path, "2025-11-20-a", "2025-11-21-a")
    return Settings(bundles=tmp_path, open_admin=True, answer_timeout_seconds=5, **request.param)


@virtual
async def test_first_come_first_served(queue: AdmissionQueue) -> None:
    tasks = start(hold(queue, 3), hold(queue, 1), hold(queue, 4), hold(queue, 1))
    assert await results(tasks) == [0.0, 0.0, 1.0, 3.0]


@virtual
async def test_a_full_queue_refuses_at_once_and_says_when_to_come_back(queue: AdmissionQueue) -> None:
    before = refused("full")
    tasks = start(*(hold(queue, 10) for _ in range(4)))
    await asyncio.sleep(0)
    with pytest.raises(Problem) as caught:
        await hold(queue, 1)
    assert asyncio.get_running_loop().time() == 0
    assert caught.value.kind == OVERLOADED
    assert caught.value.headers == {"Retry-After": "1"}  # nothing is known yet
    assert refused("full") == before + 1
    await results(tasks)
    tasks = start(*(hold(queue, 10) for _ in range(4)))
    await asyncio.sleep(0)
    with pytest.raises(Problem) as caught:
        await hold(queue, 1)
    assert caught.value.headers == {"Retry-After": "10"}  # 5 s each for the two that wait
    await results(tasks)


@virtual
async def test_before_anything_is_known_nobody_is_refused_for_it(queue: AdmissionQueue) -> None:
    tasks = start(hold(queue, 1), hold(queue, 1), hold(queue, 1, deadline=2.5))
    assert await results(tasks) == [0.0, 0.0, 1.0]


@virtual
async def test_a_query_that_cannot_be_answered_in_time_is_refused_when_it_comes(queue: AdmissionQueue) -> None:
    await results(start(*(hold(queue, 4) for _ in range(4))))
    before = refused("deadline")
    tasks = start(hold(queue, 4), hold(queue, 4))
    await asyncio.sleep(0)
    now = asyncio.get_running_loop().time()
    with pytest.raises(Problem) as caught:
        await hold(queue, 4, deadline=5)
    assert asyncio.get_running_loop().time() == now
    assert caught.value.headers == {"Retry-After": "3"}  # 2 s until its turn, 6 s to be sure
    assert refused("deadline") == before + 1
    tasks += start(hold(queue, 4, deadline=11))
    assert await results(tasks) == [now, now, now + 4]


@virtual
async def test_a_query_is_refused_at_its_turn_if_too_little_is_left_of_its_time(queue: AdmissionQueue) -> None:
    await results(start(*(hold(queue, 2) for _ in range(4))))
    now = asyncio.get_running_loop().time()
    tasks = start(hold(queue, 6), hold(queue, 5), hold(queue, 1, deadline=6), hold(queue, 1))
    assert await results(tasks) == [now, now, "overloaded", now + 5]


@virtual
async def test_a_query_gives_up_when_its_turn_would_come_too_late(queue: AdmissionQueue) -> None:
    tasks = start(hold(queue, 50), hold(queue, 50), hold(queue, 1, deadline=3))
    with pytest.raises(Problem):
        await tasks[2]
    assert asyncio.get_running_loop().time() == 3
    await results(tasks)


@virtual
async def test_a_free_engine_answers_whatever_was_expected_of_it(queue: AdmissionQueue) -> None:
    await results(start(*(hold(queue, 1_000) for _ in range(4))))
    now = asyncio.get_running_loop().time()
    assert await hold(queue, 0.5, deadline=1) == now


@virtual
async def test_an_idle_server_learns_nothing(queue: AdmissionQueue) -> None:
    for _ in range(20):
        await hold(queue, 100)
    tasks = start(hold(queue, 1), hold(queue, 1, deadline=1.5), hold(queue, 1, deadline=2.5))
    assert "overloaded" not in await results(tasks)


def test_batch_queries_wait_however_many_they_are_and_hold_a_quarter_of_the_slots() -> None:
    async def work() -> None:
        queue = AdmissionQueue(8, 1, asyncio.get_running_loop().time)
        tasks = start(*(hold(queue, 1, priority="batch") for _ in range(20)))
        await asyncio.sleep(0)
        assert (queue.running, queue.waiting) == (2, 18)
        others = start(*(hold(queue, 10) for _ in range(6)))
        assert await results(others) == [0.0] * 6
        assert await results(tasks) == [float(number // 2) for number in range(20)]
        assert (queue.running, queue.waiting) == (0, 0)

    run(work())


def test_batch_queries_are_refused_at_their_own_deadline() -> None:
    async def work() -> None:
        queue = AdmissionQueue(1, 1, asyncio.get_running_loop().time)
        tasks = start(
            hold(queue, 9), hold(queue, 1, deadline=5, priority="batch"), hold(queue, 1, 20, priority="batch")
        )
        assert await results(tasks) == [0.0, "overloaded", 9.0]

    run(work())


@virtual
async def test_who_leaves_while_waiting_is_dropped(queue: AdmissionQueue) -> None:
    before = refused("gone")
    tasks = start(*(hold(queue, 5) for _ in range(4)))
    await asyncio.sleep(1)
    tasks[2].cancel()
    assert (await results(tasks))[3] == 5.0
    assert refused("gone") == before + 1


@virtual
async def test_who_leaves_in_the_moment_of_their_turn_hands_it_on(queue: AdmissionQueue) -> None:
    tasks = start(hold(queue, 1), hold(queue, 9), hold(queue, 5), hold(queue, 5))
    asyncio.get_running_loop().call_later(1, lambda: asyncio.get_running_loop().call_soon(tasks[2].cancel))
    assert (await results(tasks))[3] == 1.0


class Failure(Exception):
    """Of a query."""


ACTIONS = st.lists(
    st.tuples(
        st.floats(0, 3),  # when it comes
        st.floats(0.01, 3),  # how long it takes
        st.floats(0.01, 6),  # its deadline
        st.one_of(st.none(), st.floats(0, 4)),  # when it is cancelled, after it came
        st.booleans(),  # whether it fails
        st.sampled_from(("interactive", "batch")),
    ),
    max_size=40,
)


@given(ACTIONS, st.integers(1, 5), st.integers(0, 5))
def test_whatever_happens_every_slot_is_given_back(actions: list[Any], slots: int, length: int) -> None:
    async def ask(queue: AdmissionQueue, seconds: float, deadline: float, fails: bool, priority: Priority) -> None:
        until = asyncio.get_running_loop().time() + deadline
        async with queue.slot(until, priority=priority), asyncio.timeout_at(until):
            assert queue.running <= slots
            await asyncio.sleep(seconds)
            if fails:
                raise Failure

    async def work() -> None:
        loop = asyncio.get_running_loop()
        queue = AdmissionQueue(slots, length, loop.time)
        tasks = []
        for at, seconds, deadline, cancelled, fails, priority in sorted(actions, key=lambda action: action[0]):
            await asyncio.sleep(max(0.0, at - loop.time()))
            task = asyncio.create_task(ask(queue, seconds, deadline, fails, priority))
            if cancelled is not None:
                loop.call_later(cancelled, task.cancel)
            tasks.append(task)
        ended = await asyncio.gather(*tasks, return_exceptions=True)
        expected = (Problem, Failure, TimeoutError, asyncio.CancelledError)
        assert all(end is None or isinstance(end, expected) for end in ended), ended
        assert (queue.running, queue.waiting) == (0, 0)
        now = loop.time()
        assert await hold(queue, 1) == now

    run(work())


@pytest.mark.parametrize("settings", [{"max_concurrency": 1, "max_queue": 1}], indirect=True)
async def test_over_http_a_query_too_many_is_a_503_and_lines_of_batches_are_answered(
    shop: Shop, engine: RecordingEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    rank, gate = engine.rank, asyncio.Event()

    async def slow(request: RankRequest) -> Ranking:
        await gate.wait()
        return await rank(request)

    monkeypatch.setattr(engine, "rank", slow)
    asking = [asyncio.create_task(shop.get("/search", q="tent")) for _ in range(2)]
    lines = [{"kind": "search", "q": "tent", "k": 1}] * 5
    asking.append(asyncio.create_task(shop.client.post("/batch", json=lines)))
    while value_of("gemserve_queue_waiting") < 6:
        await asyncio.sleep(0)
    assert value_of("gemserve_places_taken") == 1
    response = await shop.get("/recommend", user="ada")
    assert_problem(response, 503, "overloaded")
    assert response.headers["retry-after"] == "1"
    gate.set()
    *answers, batch = await asyncio.gather(*asking)
    assert [answer.status_code for answer in answers] == [200, 200]
    assert batch.text.count('"answer"') == 5
    assert (value_of("gemserve_queue_waiting"), value_of("gemserve_places_taken")) == (0, 0)


@pytest.mark.parametrize("settings", [{"max_concurrency": 1, "rollout": "recreate"}], indirect=True)
async def test_what_waits_for_an_exchange_of_the_model_keeps_its_slot_and_nobody_is_refused(
    shop: Shop, engine: RecordingEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, gate = asyncio.Event(), asyncio.Event()

    async def reload(bundle: object) -> None:
        begun.set()
        await gate.wait()

    monkeypatch.setattr(engine, "reload", reload)
    activation = asyncio.create_task(shop.client.post("/admin/models/2025-11-21-a/activate"))
    await begun.wait()
    asking = [asyncio.create_task(shop.get("/search", q="tent")) for _ in range(5)]
    while value_of("gemserve_queue_waiting") < 4:
        await asyncio.sleep(0)
    assert not any(asked.done() for asked in asking)
    gate.set()
    assert {answer.json()["model"] for answer in await asyncio.gather(*asking)} == {"2025-11-21-a"}
    assert (await activation).status_code == 200
