"""Pages of items that differ from each other."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.query.listing.diversity import varied
from tests.server.query.test_sorting import pages
from tests.support.http_shop import Shop
from tests.support.problems import assert_problem


def likeness(one: list[int], other: list[int]) -> float:
    return len(list(itertools.takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=True)))) / len(one)


@given(st.data())
def test_the_next_item_is_always_the_one_of_greatest_marginal_relevance(data: st.DataObject) -> None:
    codes = data.draw(st.lists(st.lists(st.integers(0, 2), min_size=3, max_size=3), min_size=1, max_size=12))
    scores = sorted(data.draw(st.lists(st.integers(-8, 0), min_size=len(codes), max_size=len(codes))), reverse=True)
    diversity, k = data.draw(st.sampled_from([0.25, 0.5, 1.0])), data.draw(st.integers(1, 14))
    chosen = varied([float(score) for score in scores], np.array(codes), diversity, k)
    assert len(set(chosen)) == len(chosen) == min(k, len(codes))
    spread = scores[0] - scores[-1]
    for place, item in enumerate(chosen):

        def gain(candidate: int, before: tuple[int, ...] = tuple(chosen[:place])) -> float:
            relevance = (scores[candidate] - scores[-1]) / spread if spread else 0.0
            alike = max((likeness(codes[candidate], codes[one]) for one in before), default=0.0)
            return (1 - diversity) * relevance - diversity * alike

        left = [one for one in range(len(codes)) if one not in chosen[:place]]
        assert gain(item) == pytest.approx(max(map(gain, left)))


def test_without_diversity_the_best_come_in_their_order() -> None:
    assert varied([0.0, -1.0, -2.0], np.zeros((3, 2), np.int64), 0.0, 2) == [0, 1]
    assert varied([], np.zeros((0, 2), np.int64), 0.5, 2) == []


async def test_answers_are_varied_and_pages_repeat_nothing(shop: Shop) -> None:
    plain = (await shop.get("/recommend", user="ada", k=5)).json()["items"]
    same = (await shop.get("/recommend", user="ada", k=5, diversity=0)).json()["items"]
    assert same == plain
    ids = await pages(shop, "/recommend", user="ada", k=5, diversity=1)
    assert len(ids) == len(set(ids))
    assert set(ids) == set(await pages(shop, "/recommend", user="ada", k=5))
    assert ids[0] == plain[0]["id"]
    assert ids[:5] != [item["id"] for item in plain]


@pytest.mark.parametrize(
    "path",
    [
        "/search?q=*&diversity=0.5",
        "/recommend?user=ada&sort_by=price&diversity=0.5",
        "/items?diversity=0.5",
        "/recommend?user=ada&diversity=1.5",
        "/recommend?user=ada&diversity=nan",
    ],
)
async def test_where_nothing_can_be_varied(shop: Shop, path: str) -> None:
    assert assert_problem(await shop.get(path), 422, "invalid_request")["errors"][0]["field"] == "diversity"
