import pytest

from loadtest.measure.timing import WARM_UP_TURNS, Spread, mean_spread, take_turns


def test_a_spread_is_in_milliseconds():
    spread = Spread.of([second / 1000 for second in range(101)])
    assert (spread.p10, spread.median, spread.p90) == pytest.approx((10, 50, 90))


def test_a_mean_is_taken_of_every_field():
    assert mean_spread([Spread(2, 1, 3), Spread(4, 2, 9)]) == Spread(3, 1.5, 6)


def test_everybody_takes_every_turn_and_goes_first_in_some():
    calls = []
    names = ("a", "b", "c")
    spreads = take_turns({name: lambda turn, name=name: calls.append((name, turn)) for name in names}, 6)
    assert set(spreads) == set(names)
    timed = calls[3 * WARM_UP_TURNS :]
    rounds = [timed[at : at + 3] for at in range(0, len(timed), 3)]
    assert [{turn for _, turn in together} for together in rounds] == [{turn} for turn in range(6)]
    assert all({name for name, _ in together} == set(names) for together in rounds)
    assert [together[0][0] for together in rounds] == ["a", "b", "c"] * 2


def test_warming_up_is_not_timed():
    slow = iter([True] * WARM_UP_TURNS + [False] * 4)
    total = {"timed": 0}

    def competitor(turn):
        total["timed"] += not next(slow)

    take_turns({"only": competitor}, 4)
    assert total["timed"] == 4
