"""Which of a baseline's ways of asking the validation questions choose."""

import numpy as np
import pytest

from trainer.evaluation.baselines.asked import Asked
from trainer.evaluation.baselines.sources import Source
from trainer.evaluation.baselines.tuning import tune
from trainer.evaluation.candidates import Candidates

ITEMS = 3


class Fixed(Source):
    """Asked `plain` or `mixed`, gives each question's answer the rank that was said: 1 or 2.

    The answer is always item 0. `history` is the question's number.
    """

    name = "fixed"
    tasks = ("search",)

    def __init__(self, plain, mixed, *, first_is_plain):
        self.asks = ({"ranks": plain}, {"ranks": mixed})
        self.first_is_plain = first_is_plain

    def fits(self):
        yield {}, None

    def fit(self, settings):
        return None

    def score(self, prepared, asked, settings):
        return np.array([[1.0, 2.0 if settings["ranks"][own[0]] == 2 else 0.0, 0.0] for own in asked.histories])


def chosen(plain, mixed, *, first_is_plain=True):
    histories = [np.array([question]) for question in range(len(plain))]
    nothing = [Candidates(np.empty(0, np.int64))] * len(plain)
    asked = Asked(histories, ["tent"] * len(plain), np.zeros(len(plain), np.int64), nothing)
    source = Fixed(plain, mixed, first_is_plain=first_is_plain)
    return "mixed" if tune(source, {"search": asked}, ITEMS)["search"].ask["ranks"] is mixed else "plain"


def gaining(questions, wins, losses):
    """Ranks of a plain way and of another that wins and loses that many questions."""
    mixed = [1] * wins + [2] * losses + [1] * (questions - wins - losses)
    plain = [2] * wins + [1] * losses + [1] * (questions - wins - losses)
    return plain, mixed


@pytest.mark.parametrize(
    ("wins", "losses", "which"),
    [(2, 1, "plain"), (12, 10, "plain"), (12, 2, "mixed"), (2, 0, "mixed"), (0, 3, "plain")],
    ids=["one more", "two of 22", "ten of 14", "two and no loss", "worse"],
)
def test_the_plain_way_stays_unless_another_gains_more_than_a_standard_error(wins, losses, which):
    assert chosen(*gaining(100, wins, losses)) == which


def test_without_a_plain_way_the_best_is_taken():
    assert chosen(*gaining(100, 12, 10), first_is_plain=False) == "mixed"


def test_one_question_or_none_decides_nothing():
    assert chosen([2], [1]) == "plain"
    assert chosen([], []) == "plain"
