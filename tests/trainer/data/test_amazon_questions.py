"""A data set in Amazon's format, with reviews at day resolution, asks for search and for recommendation."""

import gzip
import json
import random

import pytest

from catalog.data.items import Items
from catalog.importers.amazon import read_amazon
from trainer.data.histories import Histories
from trainer.data.splits import SPLITS

PRODUCTS, REVIEWERS = 30, 100
DAY = 86_400


@pytest.fixture(scope="module")
def histories(tmp_path_factory):
    """Every reviewer has at least five reviews, as in a 5-core, several of them on one day."""
    chance = random.Random(0)
    folder = tmp_path_factory.mktemp("amazon")
    kinds = ("Tents", "Stoves", "Ropes")
    products = [
        {"asin": f"B{n:03}", "title": f"Thing {n}", "category": ["Outdoors", "Camping", kinds[n % 3]]}
        for n in range(PRODUCTS)
    ]
    days = [chance.sample(range(2000, 2100), 3) for _ in range(REVIEWERS)]
    reviews = [
        {"reviewerID": f"R{r:03}", "asin": f"B{n:03}", "unixReviewTime": chance.choice(days[r]) * DAY}
        for r in range(REVIEWERS)
        for n in sorted(chance.sample(range(PRODUCTS), chance.randrange(5, 9)))
    ]
    reviews.sort(key=lambda review: review["asin"])  # the order of the published files
    for name, rows in (("Things_5.json.gz", reviews), ("meta_Things.json.gz", products)):
        (folder / name).write_bytes(gzip.compress("\n".join(map(json.dumps, rows)).encode()))
    dataset = read_amazon(folder)
    return Histories.from_events(dataset.events, Items(dataset.items))


@pytest.mark.parametrize("split", SPLITS.values(), ids=SPLITS)
def test_both_tasks_are_asked(histories, split):
    divided = split(histories)
    for questions in (divided.validation, divided.test):
        searches, recommendations = (
            {(q.user, q.item, q.stop) for q in questions if q.task == task} for task in ("search", "recommendation")
        )
        assert len(searches) >= 10
        assert searches == recommendations  # each encounter is asked for both, with one history
    if split is SPLITS["leave_one_out"]:
        assert len(divided.test) == len(divided.validation) == 2 * REVIEWERS


@pytest.mark.parametrize("split", SPLITS.values(), ids=SPLITS)
def test_neither_question_of_an_encounter_sees_the_other(histories, split):
    divided = split(histories)
    for q in (*divided.validation, *divided.test):
        assert q.item not in histories.items_E[q.start : q.stop]
        assert q.item not in divided.train.items_E[divided.train.span(q.user)]


def test_the_last_review_of_a_day_is_not_the_one_with_the_highest_number(histories):
    """In the order of the file, which is that of the items, nothing that is asked would have a lower one beside it."""
    test = [q for q in SPLITS["leave_one_out"](histories).test if q.task == "search"]
    higher = 0
    for q in test:
        span = histories.span(q.user)
        same_day = histories.times_E[span] == histories.times_E[q.stop]
        higher += bool((histories.items_E[span][same_day] > q.item).any())
    assert higher > len(test) / 5
