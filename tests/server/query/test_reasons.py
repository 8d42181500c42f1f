"""Reasons name the source that did most: each is tried in a shop where nothing else speaks for an item."""

from typing import cast

import numpy as np
import pytest

from catalog.bundle.bundle import Bundle
from catalog.priors.events import TrainingEvents
from catalog.priors.priors import FEATURES, Priors
from catalog.priors.weights import SOURCES, USUAL_WEIGHTS, PriorWeights
from server.core.settings import Settings
from server.serving.manager import DeploymentManager
from tests.support.http_shop import Shop
from tests.support.small_shop import NAMES, RecordingEngine, ShopBundle

SEARCHED = 20  # taken after "zzzz"
ONE, NEXT = 9, 26  # one is taken after the other
POPULAR = 12


def events() -> TrainingEvents:
    """Thirty people who searched for something that no item says; thirty who took two items; ninety who took one."""
    rows = [(user, SEARCHED, 0) for user in range(30)]
    rows += [row for user in range(30, 60) for row in ((user, ONE, -1), (user, NEXT, -1))]
    rows += [(user, POPULAR, -1) for user in range(60, 150)]
    user_E, item_E, query_E = np.array(rows, np.int64).T
    return TrainingEvents(150, len(NAMES), user_E, item_E, query_E, ["zzzz"])


class TaughtBundle(ShopBundle):
    """weights: of the features that count, in both tasks; the model's is small."""

    weights: dict[str, float]

    def __post_init__(self) -> None:
        super().__post_init__()
        own = PriorWeights.of(0.01, self.weights)
        self.prior_weights = dict.fromkeys(USUAL_WEIGHTS, own)

    @property
    def priors(self) -> Priors:  # type: ignore[override]
        return Priors.fit(self.items, events())


@pytest.fixture
def deployments(settings: Settings, engine: RecordingEngine, request: pytest.FixtureRequest) -> DeploymentManager:
    class Own(TaughtBundle):
        weights = request.param

    return DeploymentManager(settings, lambda _, version: cast(Bundle, Own(version)), lambda *_: engine)


def weighing(*names: str) -> pytest.MarkDecorator:
    """The shop in which these features count, and no others."""
    return pytest.mark.parametrize("deployments", [dict.fromkeys(names, 10.0)], indirect=True, ids=["-".join(names)])


async def reason(shop: Shop, path: str, item: int, **asked: object) -> dict[str, object]:
    body = (await shop.get(path, candidates=NAMES[item], exclude_seen=False, **asked)).json()
    return body["items"][0]["reason"]


WORDS = [
    ("title 7", "Exact title match"),
    ("item-7", "Its number is “item-7”"),
    ("7 of zzzz title", "Title match for “7 of zzzz title”"),
    ("summer", "Attribute match for “summer”"),
    ("7 of summer title", "Text match for “7 of summer title”"),
    ("7 titles", "Title match for “7 titles”"),
    ("tit", "Its title begins with “tit”"),
    ("alpina", "Brand match for “alpina”"),
    ("camping", "Category match for “camping”"),
    ("{} 7", "Title match for “{} 7”"),
]


@weighing(
    "bm25",
    "covered",
    "title_covered",
    "brand",
    "category",
    "attributes",
    "numbers",
    "exact_title",
    "identifier",
    "title_begun",
)
@pytest.mark.parametrize(("query", "text"), WORDS)
async def test_words(shop: Shop, query: str, text: str) -> None:
    said = await reason(shop, "/search", 7, q=query, correct="false")
    assert said == {"code": "query", "item": None, "text": text, "source": "words"}


@weighing("numbers")
async def test_that_a_query_has_no_numbers_is_no_reason(shop: Shop) -> None:
    assert (await reason(shop, "/search", 7, q="title", correct="false"))["source"] == "model"
    assert (await reason(shop, "/search", 7, q="title 7", correct="false"))["source"] == "words"


@weighing("same_clicks", "alike_clicks")
async def test_clicks(shop: Shop) -> None:
    said = await reason(shop, "/search", SEARCHED, q="zzzz", correct="false")
    assert said == {"code": "query", "item": None, "text": "Often chosen after this search", "source": "clicks"}
    said = await reason(shop, "/search", SEARCHED, q="zzzz yyyy", correct="false")
    assert (said["text"], said["source"]) == ("Often chosen after searches like this", "clicks")
    said = await reason(shop, "/search", 7, q="zzzz", correct="false")
    assert (said["text"], said["source"]) == ("Found for “zzzz”", "model")


@pytest.mark.parametrize("path", ["/recommend", "/search", f"/items/{NAMES[ONE]}/similar"])
@pytest.mark.parametrize(
    ("deployments", "text", "source"),
    [
        ({"transitions": 10.0}, "People who took Title 9 took this next", "transitions"),
        ({"item_knn": 10.0}, "People who took Title 9 took this too", "neighbours"),
        ({"ease": 10.0}, "People who took Title 9 took this too", "neighbours"),
    ],
    indirect=["deployments"],
)
async def test_neighbours_name_the_item_that_led_there(shop: Shop, path: str, text: str, source: str) -> None:
    """Not the newest, nor the one that is most like it."""
    await shop.saw("ada", NAMES[ONE], NAMES[NEXT + 1], NAMES[3])
    asked = {"/recommend": {"user": "ada"}, "/search": {"user": "ada", "q": "zzzz", "correct": "false"}}.get(path, {})
    body = (await shop.get(path, candidates=NAMES[NEXT], **asked)).json()
    code = {"/recommend": "history", "/search": "query_and_history"}.get(path, "similar")
    assert body["items"][0]["reason"] == {"code": code, "item": NAMES[ONE], "text": text, "source": source}


@weighing("transitions", "ease", "item_knn")
async def test_an_item_that_no_neighbour_leads_to_is_the_models(shop: Shop) -> None:
    await shop.saw("ada", NAMES[ONE])
    said = await reason(shop, "/recommend", 15, user="ada")
    assert (said["source"], said["text"]) == ("model", "Like Title 9, which you viewed")


@pytest.mark.parametrize(
    ("deployments", "text"),
    [
        ({"brand_taste": 10.0}, "Of the same brand as Title 3, which you viewed"),
        ({"category_taste": 10.0}, "Of the same kind as Title 3, which you viewed"),
        ({"content": 10.0}, "Described like Title 3, which you viewed"),
        ({"content_last": 10.0}, "Described like Title 3, which you viewed"),
        ({"price_taste": 10.0}, "At a price like that of what you looked at"),
    ],
    indirect=["deployments"],
)
async def test_taste_names_the_latest_item(shop: Shop, text: str) -> None:
    await shop.saw("ada", NAMES[ONE], NAMES[3])
    said = await reason(shop, "/recommend", 4, user="ada")
    assert (said["text"], said["source"], said["code"]) == (text, "taste", "history")


@weighing("popularity")
async def test_popularity(shop: Shop) -> None:
    said = await reason(shop, "/recommend", POPULAR, user="stranger")
    assert said == {"code": "general", "item": None, "text": "Chosen by many", "source": "popularity"}
    assert (await reason(shop, "/recommend", 7, user="stranger"))["text"] == "Liked by many"


@weighing("covered", "title_covered", "popularity")
async def test_a_recommendation_is_never_for_words(shop: Shop) -> None:
    """Not even where the model finds an item less likely than chance, and no source says anything of it."""
    items = (await shop.get("/recommend", user="stranger", k=len(NAMES))).json()["items"]
    assert {item["reason"]["source"] for item in items} == {"model", "popularity"}


@weighing("popularity", "covered")
async def test_the_greater_of_two_shares_is_named(shop: Shop) -> None:
    assert (await reason(shop, "/search", POPULAR, q="title", correct="false"))["source"] in {"words", "popularity"}
    shares = (
        await shop.get("/search", q="title zzzzz", correct="false", candidates=NAMES[POPULAR], explain=True)
    ).json()["items"][0]
    by_share = max(shares["explanation"]["shares"], key=shares["explanation"]["shares"].get)
    assert shares["reason"]["source"] == by_share == "popularity"


def test_every_feature_is_of_one_source() -> None:
    named = [name for names in SOURCES.values() for name in names]
    assert sorted(named) == sorted(FEATURES)
