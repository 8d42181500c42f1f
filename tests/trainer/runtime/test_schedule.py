import json
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainer.config.recipe import TrainingRecipe
from trainer.runtime.schedule import MEASURED_STEPS, Schedule


def fixed(seconds, **settings):
    """A schedule whose steps all take so long, at the moment when their number is fixed, and that moment's step."""
    schedule, done = Schedule(TrainingRecipe(**settings)), 0
    while schedule.measuring:
        done += 1
        schedule.add_step(seconds)
    return schedule, done


@given(seconds=st.floats(1e-3, 500), minutes=st.floats(0.1, 100), steps=st.integers(1, 5000))
def test_steps_that_take_equally_long_end_within_the_budget(seconds, minutes, steps):
    schedule, done = fixed(seconds, minutes=minutes, steps=steps)
    assert 1 <= done <= MEASURED_STEPS
    total = schedule.steps
    assert total <= max(steps, done)
    assert total * seconds <= 60 * minutes or total == done
    if done < total < steps:
        assert (total + 1) * seconds > 0.94 * 60 * minutes, "time is left for more steps"
    first, last = schedule.learning_rate_share(0), schedule.learning_rate_share(total - 1)
    assert 0 < first <= 1
    assert 0 < last <= 1


def test_the_course_goes_on_where_it_was_and_comes_to_its_end():
    schedule, done = fixed(3.0, minutes=5, steps=2000, warmup=0.03, final_lr=0.05)
    assert (done, schedule.steps) == (10, 95)
    shares = [schedule.learning_rate_share(step) for step in range(schedule.steps)]
    whole = Schedule(TrainingRecipe(steps=2000, warmup=0.03, final_lr=0.05))
    assert shares[:11] == [whole.learning_rate_share(step) for step in range(11)]
    assert max(shares) > 0.99
    assert shares[-1] == pytest.approx(0.05, abs=0.001)
    peak = shares.index(max(shares))
    assert shares[: peak + 1] == sorted(shares[: peak + 1])
    assert shares[peak:] == sorted(shares[peak:], reverse=True)


@pytest.mark.parametrize(("before", "then"), [(6.0, 0.4), (0.3, 1.2)])
def test_it_is_planned_again_where_the_machine_becomes_faster_or_slower(before, then):
    schedule = Schedule(TrainingRecipe(steps=350, minutes=3, warmup=0.03, final_lr=0.05))
    spent, shares, grown = 0.0, [], set()
    while len(shares) < schedule.steps:
        shares.append(schedule.learning_rate_share(len(shares)))
        seconds = before if len(shares) <= 10 or (then > before and len(shares) <= 100) else then
        spent += seconds
        was = schedule.steps
        if schedule.timing and schedule.add_step(seconds) and schedule.steps > was:
            grown.add(len(shares))
    assert 150 < spent <= 180, "the time is used, and no more of it"
    assert len(shares) > 200 if then < before else len(shares) < 350
    assert shares[-1] == pytest.approx(0.05, abs=0.01), "the course comes to its end"
    peak = shares.index(max(shares))
    rises = {step for step in range(peak + 1, len(shares)) if shares[step] > shares[step - 1]}
    assert rises <= grown, "it falls, but where more steps were planned than before"
    assert bool(rises) == (then < before)
    assert max(a - b for a, b in pairwise(shares[peak:])) < 0.1, "it never jumps"


@pytest.mark.parametrize("slow", [6.0, 12.0, 30.0, 50.0, 80.0])
def test_a_machine_that_was_busy_in_the_beginning_costs_that_time_only(slow):
    """As one is that still compiles or tests something: so slow, the first steps would be nearly all."""
    schedule = Schedule(TrainingRecipe(steps=350, minutes=3, warmup=0.03, final_lr=0.05))
    spent, shares = 0.0, []
    while len(shares) < schedule.steps:
        shares.append(schedule.learning_rate_share(len(shares)))
        seconds = slow if spent < 40 else 0.4
        spent += seconds
        schedule.add_step(seconds)
    assert 160 < spent <= 180 or len(shares) == 350
    assert len(shares) > 150
    assert shares[-1] == pytest.approx(0.05, abs=0.01)
    rates = np.array(shares)
    assert (rates > 0.5).sum() > 0.3 * len(rates), "most of the course is left to the steps of the usual speed"


def test_without_a_budget_nothing_is_timed():
    schedule = Schedule(TrainingRecipe(steps=7))
    assert not schedule.measuring
    assert not schedule.timing
    assert schedule.steps == 7


def test_the_first_steps_are_slow_and_do_not_count_for_the_others():
    schedule = Schedule(TrainingRecipe(steps=1000, minutes=10))
    for seconds in (20.0, 5.0, *[0.5] * (MEASURED_STEPS - 2)):
        schedule.add_step(seconds)
    assert schedule.steps == 1000


def test_what_was_measured_and_fixed_goes_through_a_checkpoint():
    recipe = TrainingRecipe(steps=1000, minutes=1)
    through, resumed = Schedule(recipe), Schedule(recipe)
    for _ in range(3):
        through.add_step(1.0)
    resumed.load_state_dict(json.loads(json.dumps(through.state_dict())))
    for schedule in (through, resumed):
        while schedule.measuring:
            schedule.add_step(1.0)
    assert resumed.state_dict() == through.state_dict()
    assert resumed.steps == 57
