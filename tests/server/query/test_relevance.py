"""Relevance: shares of an answer's probability."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.query.relevance import relevances_of
from tests.support.http_shop import Shop

SCORES = st.lists(st.floats(-1e6, 0.0), max_size=200).map(lambda scores: sorted(scores, reverse=True))


@given(SCORES)
def test_they_lie_between_0_and_1_fall_with_the_score_and_add_up_to_1(scores: list[float]) -> None:
    relevances = relevances_of(scores)
    assert len(relevances) == len(scores)
    assert all(0 <= relevance <= 1 for relevance in relevances)
    assert relevances == sorted(relevances, reverse=True)
    assert not scores or math.fsum(relevances) == pytest.approx(1)


@given(st.lists(st.floats(-50.0, 0.0), min_size=1, max_size=20))
def test_they_are_shares_of_the_probability(scores: list[float]) -> None:
    probabilities = [math.exp(score) for score in scores]
    assert relevances_of(scores) == pytest.approx([p / sum(probabilities) for p in probabilities])


def test_scores_whose_probability_is_too_small_for_a_float_still_have_shares() -> None:
    assert relevances_of([-5_000.0, -5_000.0 - math.log(3)]) == pytest.approx([0.75, 0.25])


async def relevances(shop: Shop, path: str, **parameters: object) -> list[float]:
    response = await shop.get(path, **parameters)
    assert response.status_code == 200, response.text
    return [item["relevance"] for item in response.json()["items"]]


@pytest.mark.parametrize(
    ("path", "parameters"),
    [
        ("/search", {"q": "tent"}),
        ("/recommend", {"user": "stranger"}),
        ("/items/item-9/similar", {}),
    ],
)
async def test_every_kind_of_answer_has_them(shop: Shop, path: str, parameters: dict[str, str]) -> None:
    shares = await relevances(shop, path, k=3, **parameters)
    assert shares == sorted(shares, reverse=True)
    assert sum(shares) == pytest.approx(1, abs=1e-5)
    assert await relevances(shop, path, k=1, **parameters) == [1]


async def test_they_follow_from_the_scores_of_the_answer(shop: Shop) -> None:
    items = (await shop.get("/search", q="tent", k=5)).json()["items"]
    total = sum(math.exp(item["score"]) for item in items)
    assert [item["relevance"] for item in items] == pytest.approx(
        [math.exp(item["score"]) / total for item in items], abs=1e-5
    )


async def test_what_scores_too_little_keeps_its_share(shop: Shop) -> None:
    """So that the others' relevance is the same with min_score and without."""
    asked = {"q": "tent", "k": 5, "guidance": False}  # so that scores are -1, -2, …
    whole = await relevances(shop, "/search", **asked)
    assert await relevances(shop, "/search", **asked, min_score=-3.5) == whole[:3]
    assert sum(whole[:3]) < 1
