"""The nearest item of a history, against a comparison one code at a time."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog.data.events import EventType
from server.engine.protocol import RankRequest
from server.query.explain import nearest
from tests.support.http_shop import Shop
from tests.support.small_shop import CODES_NL, NAMES, SIZES, RecordingEngine


def shared(one: list[int], other: list[int]) -> int:
    return next((level for level, (a, b) in enumerate(zip(one, other, strict=True)) if a != b), len(one))


@given(st.integers(1, 4), st.data())
def test_nearest_is_the_latest_of_those_that_share_most_leading_codes(depth: int, data: st.DataObject) -> None:
    path = st.lists(st.integers(0, 2), min_size=depth, max_size=depth)
    items = data.draw(st.lists(path, min_size=1, max_size=8))
    past = data.draw(st.lists(path, max_size=8))
    found = nearest(np.array(items), np.array(past, np.int64).reshape(-1, depth))
    for item, place in zip(items, found.tolist(), strict=True):
        lengths = [shared(item, other) for other in past]
        longest = max(lengths, default=0)
        assert place == (max(i for i, length in enumerate(lengths) if length == longest) if longest else -1)


async def reasons(shop: Shop, path: str, **parameters: object) -> dict[str, dict[str, object]]:
    """What the model alone says; `test_reasons.py` has the other sources."""
    response = await shop.get(path, guidance=False, **parameters)
    assert response.status_code == 200, response.text
    return {item["id"]: item["reason"] for item in response.json()["items"]}


async def test_a_search_without_a_history_has_the_query_for_its_reason(shop: Shop) -> None:
    found = await reasons(shop, "/search", q="red tent", k=3, user="stranger")
    assert (
        list(found.values()) == [{"code": "query", "item": None, "text": "Found for “red tent”", "source": "model"}] * 3
    )
    (long,) = (await reasons(shop, "/search", q="x" * 900, k=1)).values()
    assert len(str(long["text"])) < 100


async def test_a_recommendation_to_a_stranger_is_general(shop: Shop) -> None:
    found = await reasons(shop, "/recommend", user="stranger", k=2)
    assert [reason["code"] for reason in found.values()] == ["general", "general"]
    assert {reason["item"] for reason in found.values()} == {None}


async def test_items_are_explained_by_the_item_of_the_history_that_begins_alike(shop: Shop) -> None:
    await shop.saw("ada", "item-9", "item-26")
    found = await reasons(shop, "/recommend", user="ada", k=200)
    for item_id, reason in found.items():
        first_code = CODES_NL[NAMES.index(item_id)][0]
        like = {1: "item-9", 3: "item-26"}.get(first_code)
        assert (reason["code"], reason["item"]) == ("history", like)
        title = "Goes with what you did here" if like is None else f"Like Title {like[5:]}, which you viewed"
        assert reason["text"] == title


async def test_a_personal_search_names_query_and_item_where_there_is_one(shop: Shop) -> None:
    event = {"user_id": "ada", "type": "view", "item_id": "item-9", "query": "lamp"}
    assert (await shop.post(event)).status_code == 202
    found = await reasons(shop, "/search", q="rope", user="ada", k=200)
    text = "Found for “rope”, and like Title 9, which you found with “lamp”"
    assert found["item-10"] == {"code": "query_and_history", "item": "item-9", "text": text, "source": "model"}
    assert found["item-26"] == {"code": "query", "item": None, "text": "Found for “rope”", "source": "model"}


async def test_what_is_like_nothing_of_a_history_is_not_said_to_go_with_something_viewed(shop: Shop) -> None:
    event = {"user_id": "ada", "type": "purchase", "item_id": "item-9"}
    assert (await shop.post(event)).status_code == 202
    reason = (await reasons(shop, "/recommend", user="ada", k=200))["item-26"]
    assert reason == {
        "code": "history",
        "item": None,
        "text": "Goes with what you did here",
        "source": "model",
    }


@pytest.mark.parametrize("query", [None, "lamp"])
@pytest.mark.parametrize("kind", [kind for kind in EventType if kind.is_interaction])
async def test_a_reason_says_what_was_last_done_with_the_item(kind: EventType, query: str | None, shop: Shop) -> None:
    for moment, done in enumerate([EventType.RATING, EventType.PURCHASE, kind]):
        event = {"user_id": "ada", "item_id": "item-9", "type": done, "timestamp": 1_700_000_000_000 + moment}
        assert (await shop.post(event | ({} if query is None else {"query": query}))).status_code == 202
    looked = {EventType.VIEW: "viewed", EventType.CLICK: "opened"}
    done = {EventType.CART: "put into your basket", EventType.PURCHASE: "bought", EventType.RATING: "rated"}
    how = done.get(kind) or ("found with “lamp”" if query else looked[kind])
    found = await reasons(shop, "/recommend", user="ada", k=200)
    assert found["item-10"]["text"] == f"Like Title 9, which you {how}"


async def test_of_items_that_a_body_names_no_more_is_known_than_that_they_were_seen(shop: Shop) -> None:
    body = {"history": ["item-9", {"item_id": "item-26", "query": "rope"}], "k": 29, "guidance": False}
    items = (await shop.client.post("/recommend", json=body)).json()["items"]
    texts = {item["id"]: item["reason"]["text"] for item in items}
    assert texts["item-10"] == "Like Title 9, which you viewed"
    assert texts["item-27"] == "Like Title 26, which you found with “rope”"


async def test_what_the_prompt_no_longer_shows_explains_nothing(shop: Shop) -> None:
    await shop.saw("ada", "item-26", *NAMES[8:14])
    found = await reasons(shop, "/recommend", user="ada", k=200)
    assert found["item-27"]["item"] is None


@pytest.mark.parametrize("guidance", [True, False])
async def test_explanations_come_where_they_are_asked_for(
    shop: Shop, engine: RecordingEngine, *, guidance: bool
) -> None:
    await shop.saw("ada", "item-9")
    assert "explanation" not in (await shop.get("/recommend", user="ada")).json()["items"][0]
    body = (await shop.get("/recommend", user="ada", explain="true", k=4, guidance=guidance)).json()
    *_, asked, plain = engine.requests
    assert (plain.k, plain.width, list(plain.allow or ())) == (
        4,
        4,
        sorted(NAMES.index(i["id"]) for i in body["items"]),
    )
    assert asked.by_level
    assert not plain.by_level
    assert len(plain.prompt) < len(asked.prompt)
    without = await engine.rank(plain)
    scores = dict(zip(without.leaves, without.scores, strict=True))
    for item in body["items"]:
        levels, leaf = item["explanation"]["levels"], NAMES.index(item["id"])
        a, b = divmod(leaf, SIZES[1])
        assert [level["code"] for level in levels] == [f"<a_{a}>", f"<b_{b}>"]
        logp = np.log([level["probability"] for level in levels]).sum()
        assert item["score"] == pytest.approx(guided(asked, leaf, logp))
        assert item["explanation"]["history_effect"] == pytest.approx(item["score"] - scores[leaf])
        shares, weight = item["explanation"]["shares"], asked.prior.model_weight if asked.prior else 1.0
        assert sum(shares.values()) == pytest.approx(item["score"], abs=1e-4)
        assert shares["model"] == pytest.approx(weight * logp, abs=1e-4)
        assert (set(shares) == {"model"}) == (not guidance)


def guided(request: RankRequest, leaf: int, logp: float) -> float:
    """The score of a leaf that has no static prior."""
    if request.prior is None:
        return logp
    listed = dict(zip(request.prior.leaves.tolist(), request.prior.values.tolist(), strict=True))
    return request.prior.model_weight * logp + listed.get(leaf, 0.0)


async def test_nothing_is_compared_where_there_is_no_history(shop: Shop, engine: RecordingEngine) -> None:
    body = (await shop.get("/search", q="tent", explain="true", k=2)).json()
    assert [item["explanation"]["history_effect"] for item in body["items"]] == [None, None]
    assert len(engine.requests) == 1
    await shop.saw("ada", *NAMES)
    assert await shop.ids("/recommend", user="ada", explain="true", exclude_seen="true") == []
    assert len(engine.requests) == 2
