"""As many beams are chosen as find what a very wide search finds, by questions of both tasks."""

from typing import cast

import numpy as np
import pytest

from catalog.search.guidance import NO_PRIOR, StaticPrior
from catalog.search.transformers import TransformersRanker
from catalog.text.prompts import Task
from trainer.evaluation.width import ENOUGH, MAX_QUESTIONS, MIN_QUESTIONS, WIDEST, WIDTHS, GuidedQuestions, choose_width

ITEMS = 1_000
STATIC = cast(StaticPrior, None)


class Ranker:
    """Finds the ten best, leaves 0 to 9, in all questions with a search as wide as their prompts say."""

    index = range(ITEMS)

    def __init__(self) -> None:
        self.asked: list[int] = []

    def rank(self, prompts, width, *, deny, priors, static):
        assert static is STATIC
        assert len(deny) == len(priors) == len(prompts)
        self.asked.append(width)
        return [(np.arange(width) + (100 if width < prompt[0] else 0), np.zeros(width)) for prompt in prompts]


def questions(*needed: int) -> GuidedQuestions:
    """One question for each width that it needs."""
    nothing = np.empty(0, np.int64)
    return GuidedQuestions([[width] for width in needed], [NO_PRIOR] * len(needed), [nothing] * len(needed))


def chosen(search: GuidedQuestions, recommendation: GuidedQuestions, ranker: Ranker | None = None):
    asked: dict[Task, GuidedQuestions] = {"search": search, "recommendation": recommendation}
    return choose_width(cast(TransformersRanker, ranker or Ranker()), asked, STATIC)


@pytest.mark.parametrize(
    ("search", "recommendation", "width"),
    [
        ([1] * 50, [1] * 50, 10),
        ([11] * 50, [1] * 50, 12),
        ([1] * 50, [17] * 50, 20),
        ([50] * 50, [], 50),
        ([1] * 99 + [50], [1] * 100, 10),
        ([1] * 98 + [50] * 2, [1] * 100, 50),
        ([51] * 50, [1] * 50, None),
        ([WIDEST] * 2 + [1] * 148 + [WIDEST] * 100, [1] * 40, None),
        ([1] * MAX_QUESTIONS + [WIDEST] * 500, [1] * 40, 10),
    ],
)
def test_the_worse_task_says_how_many_beams_are_enough(
    search: list[int], recommendation: list[int], width: int | None
) -> None:
    found = chosen(questions(*search), questions(*recommendation))
    assert found.width == width
    report = found.as_json()
    assert report["width"] == width
    assert report["enough"] == ENOUGH
    if width is not None:
        assert min(report["shares"][str(width)].values()) >= ENOUGH
        narrower = [own for own in WIDTHS if own < width]
        assert all(min(report["shares"][str(own)].values()) < ENOUGH for own in narrower)
        assert list(report["shares"]) == [str(own) for own in [*narrower, width]]
    else:
        assert len(report["shares"]) == len(WIDTHS)


def test_wider_searches_than_needed_are_not_tried() -> None:
    ranker = Ranker()
    chosen(questions(*[11] * 50), questions(), ranker)
    assert ranker.asked == [WIDEST, 10, 12]


def test_few_questions_choose_nothing() -> None:
    ranker = Ranker()
    found = chosen(questions(*[1] * (MIN_QUESTIONS - 1)), questions(), ranker)
    assert (found.width, found.shares, ranker.asked) == (None, {}, [])
    assert found.as_json()["questions"] == {"search": MIN_QUESTIONS - 1}
    assert chosen(questions(*[1] * (MIN_QUESTIONS - 1)), questions(1)).width == 10


def test_nothing_asked_chooses_nothing() -> None:
    assert chosen(questions(), questions()).width is None
