"""The schedule, with engines that only say how long they took."""

import itertools

import pytest

from loadtest.engine.peers.process import Reply
from loadtest.engine.round_robin import Cell, Deadline, RoundRobin, Tally


class Scripted:
    """Takes `cost(beam, concurrency)` seconds, or says so."""

    def __init__(self, name, log, cost):
        self.name, self.log, self.cost = name, log, cost

    def answer(self, prompts, width, concurrency):
        self.log.append((self.name, [prompt[0] for prompt in prompts], width, concurrency))
        return Reply(self.cost(width, concurrency), [[1, 2, -1, 2]] * len(prompts))


def rounds_of(costs, budget=100.0, cached=("ours", "vllm")):
    log, numbers = [], itertools.count()
    engines = {name: Scripted(name, log, cost) for name, cost in costs.items()}
    draw = lambda count: [[next(numbers)] for _ in range(count)]  # noqa: E731
    return RoundRobin(engines, [name for name in cached if name in engines], draw, Deadline(budget)), log


def cheap(beam, concurrency):
    return 0.001 * beam * concurrency


def test_all_are_asked_the_same_prompts_and_caching_ones_again():
    rounds, log = rounds_of({"ours": cheap, "vllm": cheap, "transformers": cheap})
    rounds.warm_up([5])
    log.clear()
    rounds.run([5], [1], repeats=3)
    assert len(log) == 3 * 5
    for sample in (log[at : at + 5] for at in range(0, 15, 5)):
        assert len({tuple(prompts) for _, prompts, _, _ in sample}) == 1
        assert {name for name, *_ in sample[:3]} == {"ours", "vllm", "transformers"}
        assert {name for name, *_ in sample[3:]} == {"ours", "vllm"}
    assert len({log[at][1][0] for at in range(0, 15, 5)}) == 3
    assert len({log[at][0] for at in range(0, 15, 5)}) == 3
    assert rounds.seconds[Cell("ours", 5, 1, "cached")] == [cheap(5, 1)] * 3
    assert Cell("transformers", 5, 1, "cached") not in rounds.seconds


@pytest.mark.parametrize("slow", ["vllm", "transformers"])
def test_what_costs_too_much_is_measured_once_at_the_end(slow):
    rounds, log = rounds_of({"ours": cheap, slow: lambda beam, n: 0.1 * beam * n}, budget=100.0)
    rounds.warm_up([10])
    log.clear()
    rounds.run([10], [1, 8], repeats=4)
    assert len(rounds.seconds[Cell(slow, 10, 1, "fresh")]) == 4
    assert rounds.seconds[Cell(slow, 10, 8, "fresh")] == [8.0]
    assert len(rounds.seconds[Cell("ours", 10, 8, "fresh")]) == 5
    assert [concurrency for _, _, _, concurrency in log[-3:]] == [8, 8, 8]
    assert {name for name, _, _, _ in log[-3:]} == {"ours", slow}


def test_nothing_is_begun_that_would_outlast_the_budget():
    rounds, log = rounds_of({"ours": cheap, "slow": lambda beam, n: 30.0 * n}, budget=100.0)
    rounds.warm_up([10])
    log.clear()
    rounds.run([10], [1, 8], repeats=2)
    assert ("slow", 8) not in {(name, concurrency) for name, _, _, concurrency in log}
    assert Cell("slow", 10, 1, "fresh") in rounds.seconds
    over, log = rounds_of({"ours": cheap}, budget=-1.0)
    over.warm_up([10])
    over.run([10], [1], repeats=2)
    assert over.seconds == {}


def test_a_closed_loop_counts_requests_a_second():
    rounds, log = rounds_of({"ours": lambda beam, n: 2.0})
    rounds.loop([5], [1, 8])
    assert rounds.rates == {
        Cell("ours", 5, concurrency, mode): requests / 2.0
        for concurrency, requests in ((1, 8), (8, 16))
        for mode in ("fresh", "cached")
    }
    assert log[0][1] == log[1][1]


def test_invalid_and_repeated_leaves_are_counted():
    tally = Tally()
    tally.count([[3, 4, -1, 3, -1], [5], []])
    assert (tally.returned, tally.invalid, tally.duplicates) == (6, 2, 1)
    rounds, _ = rounds_of({"ours": cheap})
    rounds.ask("ours", [[1], [2]], 5, 1)
    assert (rounds.tallies["ours"].returned, rounds.tallies["ours"].duplicates) == (8, 2)


def test_a_deadline_runs_out():
    assert 9 < Deadline(10).left <= 10
    assert Deadline(0).left == pytest.approx(0, abs=1)
