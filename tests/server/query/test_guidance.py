"""Queries are guided by what the catalog knows without the model, unless they say that they want the model alone."""

import asyncio
import json
import threading
from collections.abc import Iterator
from typing import cast

import numpy as np
import pytest
from prometheus_client import REGISTRY

from catalog.bundle.bundle import Bundle
from catalog.errors import PriorsError
from catalog.priors.priors import Candidates, Priors
from server.core.settings import Settings
from server.serving.manager import DeploymentManager
from tests.support.http_shop import Shop
from tests.support.small_shop import NAMES, UNAVAILABLE, RecordingEngine, ShopBundle, make_deployments

TITLED = [row for row in range(len(NAMES)) if row not in UNAVAILABLE | {6}]


async def first(shop: Shop, **parameters: object) -> str:
    return (await shop.ids("/search", **parameters))[0]


async def test_every_item_is_found_first_by_its_title_and_by_its_id(shop: Shop) -> None:
    for row in TITLED:
        assert await first(shop, q=f"title {row}", k=3) == NAMES[row]
        assert await first(shop, q=NAMES[row], k=3) == NAMES[row]


@pytest.mark.parametrize("path", ["/search?q=title+7", "/recommend?user=ada", "/items/item-9/similar"])
async def test_every_route_is_guided_unless_it_is_told_not_to_be(
    shop: Shop, engine: RecordingEngine, path: str
) -> None:
    unasked, asked, alone = [(await shop.client.get(path + more)).json()["items"] for more in variants(path)]
    assert unasked == asked
    assert [item["score"] for item in alone] == [-float(rank) for rank in range(1, 11)], "those of the fake model"
    assert [request.prior is not None for request in engine.requests] == [True, True, False]


def variants(path: str) -> list[str]:
    sign = "&" if "?" in path else "?"
    return ["", f"{sign}guidance=true", f"{sign}guidance=false"]


@pytest.mark.parametrize(
    ("query", "fit"),
    [
        ("title 7", "all"),
        (NAMES[7], "all"),
        ("TITLE", "all"),
        ("title zzzzqq", "some"),
        ("zzzzqq wwwwxx", "none"),
        ("!", "none"),
    ],
)
async def test_an_answer_says_how_well_the_catalog_fits_what_was_typed(shop: Shop, query: str, fit: str) -> None:
    body = (await shop.get("/search", q=query, correct="false")).json()
    assert body["fit"] == fit
    assert len(body["items"]) == 10
    assert (await shop.get("/search", q=query, guidance="false")).json()["fit"] is None


async def test_the_lines_of_a_batch_are_guided(shop: Shop, engine: RecordingEngine) -> None:
    lines = [{"kind": "search", "q": "title 7"}, {"kind": "search", "q": "title 7", "guidance": False}]
    response = await shop.client.post("/batch?ordered=true", json=lines)
    guided, alone = (json.loads(line)["answer"]["items"] for line in response.text.splitlines())
    assert guided[0]["id"] == NAMES[7]
    assert alone[0]["score"] == -1.0


async def test_the_last_word_is_a_beginning_unless_prefix_is_false(shop: Shop) -> None:
    """In URLs, bodies and lines of batches."""
    assert (await shop.client.put("/items/aaa", json={"title": "lantern"})).status_code in {200, 201}
    for more, found in (({}, "some"), ({"prefix": True}, "some"), ({"prefix": False}, "none")):
        asked = {"q": "lant", "correct": False, "k": 1, "candidates": ["aaa"], **more}
        answers = [
            (await shop.get("/search", **asked)).json(),
            (await shop.client.post("/search", json=asked)).json(),
            json.loads((await shop.client.post("/batch", json=[{"kind": "search", **asked}])).text)["answer"],
        ]
        for answer in answers:
            assert answer["fit"] == found
            assert (answer["items"][0]["score"] > 1) == (found == "some"), "one without its words has less"


async def test_prefix_belongs_to_the_question_of_a_cursor_and_to_searches_only(shop: Shop) -> None:
    first = (await shop.get("/search", q="tit", k=3)).json()
    same = await shop.get("/search", q="tit", k=3, cursor=first["next_cursor"], prefix=True)
    assert same.status_code == 200
    other = await shop.get("/search", q="tit", k=3, cursor=first["next_cursor"], prefix=False)
    assert other.json()["code"] == "foreign_cursor"
    for path in ("/recommend", "/items/item-9/similar"):
        assert (
            await shop.get(path, **({"user": "ada"} if path == "/recommend" else {}), prefix=False)
        ).status_code == 422
    assert (await shop.get("/search", q="tit", prefix="half")).status_code == 422


class TestOff:
    """An operator has turned it off."""

    @pytest.fixture
    def settings(self, settings: Settings) -> Settings:
        return settings.model_copy(update={"guidance": False})

    async def test_a_query_may_ask_for_it_all_the_same(self, shop: Shop, engine: RecordingEngine) -> None:
        for more in ({}, {"guidance": False}, {"guidance": True}):
            await shop.ids("/search", q="title 7", **more)
        assert [request.prior is not None for request in engine.requests] == [False, False, True]


class TestOlderBundle:
    """It was published without priors."""

    @pytest.fixture
    def deployments(
        self, settings: Settings, engine: RecordingEngine, monkeypatch: pytest.MonkeyPatch
    ) -> DeploymentManager:
        monkeypatch.setattr(ShopBundle, "priors", property(lambda _: pytest.fail("there are none")))
        return DeploymentManager(
            settings, lambda _, version: cast(Bundle, ShopBundle(version, has_priors=False)), lambda *_: engine
        )

    async def test_it_answers_as_before(self, shop: Shop, engine: RecordingEngine) -> None:
        for more in ({}, {"guidance": True}):
            response = await shop.get("/search", q="title 7", **more)
            assert response.json()["degraded"] is False
            assert response.json()["items"][0]["score"] == -1.0
        assert (await shop.client.put("/items/zzz", json={"title": "new"})).status_code == 200
        assert [request.prior for request in engine.requests] == [None, None]


@pytest.mark.parametrize("names", [["aaa"], ["zzz", "mmm"]])
async def test_items_are_found_where_new_ones_have_moved_them(shop: Shop, names: list[str]) -> None:
    assert await first(shop, q="title 20", k=3) == NAMES[20]
    for name in names:
        response = await shop.client.put(f"/items/{name}", json={"title": f"new {name}"})
        assert response.status_code in {200, 201}, response.text
    for row in TITLED:
        assert await first(shop, q=f"title {row}", k=3) == NAMES[row]


async def test_new_and_changed_items_are_found_by_their_words_at_once(shop: Shop) -> None:
    for title in ("a lantern to hang up", "Λυχνάρι 40cm"):
        put = await shop.client.put("/items/aaa", json={"title": title, "brand": "Nordlys"})
        assert put.status_code in {200, 201}
        for query in (title, "AAA"):
            assert await first(shop, q=query, k=3) == "aaa"
    assert await first(shop, q="title 20", k=3) == NAMES[20]
    assert (await shop.client.put(f"/items/{NAMES[20]}", json={"title": "hanging lantern"})).status_code == 200
    assert await first(shop, q="hanging lantern", k=3) == NAMES[20]
    assert await first(shop, q="title 20", k=3) != NAMES[20]
    assert (await shop.client.delete("/items/aaa")).status_code in {200, 204}
    assert "aaa" not in await shop.ids("/search", q="Λυχνάρι 40cm", k=30)


async def test_filters_and_what_was_seen_hold(shop: Shop) -> None:
    assert NAMES[7] not in await shop.ids("/search", q="title 7", filter="price > 7", k=30)
    await shop.saw("ada", NAMES[7])
    assert NAMES[7] not in await shop.ids("/recommend", user="ada", k=30, exclude_seen="true")
    assert NAMES[5] not in await shop.ids("/search", q="title 5", k=30)


async def test_pages_go_on(shop: Shop) -> None:
    whole = await shop.ids("/search", q="title 7", k=20)
    page = (await shop.get("/search", q="title 7", k=10)).json()
    for same in ({}, {"guidance": True}):
        rest = (await shop.get("/search", q="title 7", k=10, cursor=page["next_cursor"], **same)).json()
        assert [item["id"] for item in [*page["items"], *rest["items"]]] == whole
    refused = await shop.get("/search", q="title 7", k=10, cursor=page["next_cursor"], guidance=False)
    assert refused.json()["code"] == "foreign_cursor"


async def test_it_is_explained(shop: Shop) -> None:
    await shop.saw("ada", NAMES[3])
    response = await shop.get("/search", q="title 7", user="ada", explain=True, k=2)
    top = response.json()["items"][0]
    assert top["id"] == NAMES[7]
    assert top["score"] > 10
    assert 0.9 < top["relevance"] <= 1
    assert abs(top["explanation"]["history_effect"]) < top["score"]


def left_away(reason: str) -> float:
    return REGISTRY.get_sample_value("gemserve_priors_left_away_total", {"reason": reason}) or 0.0


async def is_the_models_alone(shop: Shop, **parameters: object) -> None:
    body = (await shop.get("/search", q="title 7", **parameters)).json()
    assert body["degraded"] is True
    alone = (await shop.get("/search", q="title 7", guidance=False, **parameters)).json()
    assert alone["degraded"] is False
    assert body["items"] == alone["items"]


class TestSlow:
    @pytest.fixture
    def settings(self, settings: Settings) -> Settings:
        return settings.model_copy(update={"guidance_timeout_ms": 20})

    @pytest.fixture
    def release(self, shop: Shop, monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
        event = threading.Event()

        def slow(self: Priors, query: str | None, history_H: np.ndarray, **how: bool) -> Candidates:
            event.wait(60)
            none = np.empty(0, np.int64)
            return Candidates(none, np.empty((0, 0), np.float32))

        monkeypatch.setattr(Priors, "candidates", slow)
        yield event
        event.set()

    async def test_a_prior_that_is_late_is_left_away(self, shop: Shop, release: threading.Event) -> None:
        before = left_away("timeout")
        for _ in range(5):  # more than there are threads, all of which it keeps
            await is_the_models_alone(shop)
        assert left_away("timeout") == before + 5
        line = (await shop.client.post("/batch", json=[{"kind": "search", "q": "title 7"}])).json()
        assert line["answer"]["degraded"] is True

    async def test_whoever_leaves_waits_for_nothing(self, shop: Shop, release: threading.Event) -> None:
        asking = asyncio.create_task(shop.get("/search", q="title 7"))
        await asyncio.sleep(0)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking


async def test_a_prior_that_fails_is_left_away_and_the_log_says_why(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = left_away("error")

    def fail(self: Priors, query: str | None, history_H: np.ndarray, **how: bool) -> Candidates:
        raise ZeroDivisionError("a damaged source")

    monkeypatch.setattr(Priors, "candidates", fail)
    await is_the_models_alone(shop)
    assert left_away("error") == before + 1
    assert "answering_without_prior" in (said := capsys.readouterr().out)
    assert "ZeroDivisionError: a damaged source" in said


async def test_an_effect_is_not_told_between_a_guided_score_and_one_that_is_not(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    await shop.saw("ada", NAMES[3])
    own = Priors.candidates

    def fail_for_strangers(self: Priors, query: str | None, history_H: np.ndarray, **how: bool) -> Candidates:
        if len(history_H) == 0:
            raise ZeroDivisionError
        return own(self, query, history_H)

    monkeypatch.setattr(Priors, "candidates", fail_for_strangers)
    body = (await shop.get("/search", q="title 7", user="ada", explain=True, k=2)).json()
    assert body["degraded"] is True
    assert body["items"][0]["id"] == NAMES[7]
    assert [item["explanation"]["history_effect"] for item in body["items"]] == [None, None]


async def test_how_long_a_prior_took_is_measured(shop: Shop) -> None:
    def count() -> float:
        return REGISTRY.get_sample_value("gemserve_prior_seconds_count", {"task": "search"}) or 0.0

    before = count()
    await shop.ids("/search", q="title 7")
    await shop.ids("/search", q="title 7", guidance=False)
    assert count() == before + 1


@pytest.mark.parametrize(
    "typed",
    [
        *("AND", "tent AND", "OR NOT", "IN [a b]", '"', '"tent', "'", "*", "t*", "?", "title:7", ":", "title:", "^2"),
        *(
            "~",
            "+tent -rope",
            "(",
            ")",
            "[a TO b]",
            "{",
            "\\",
            "//",
            "/a(/",
            "tent && rope",
            "!",
            "a\\:b",
            "_exists_:id",
        ),
        *(
            "\u0301",
            "\u0301\u0327" * 30,
            "🏕️",
            "👩‍👩‍👧‍👦" * 20,
            "…!?",
            "123",
            "0",
            "-1.5e300",
            "NaN",
            "κανό",
            "帐篷",
            "เต็นท์",
        ),
        *("x" * 1_000, "x " * 499, "é" * 500, "\u202e tent", "ﬃ", "İ", "ß"),
    ],
)
async def test_whatever_is_typed_is_text(shop: Shop, typed: str) -> None:
    response = await shop.client.post("/search", json={"q": typed, "k": 30})
    assert response.status_code == 200, response.text
    assert response.json()["degraded"] is False
    assert len(response.json()["items"]) == len(NAMES) - len(UNAVAILABLE)


@pytest.mark.parametrize("typed", ["x" * 1_000_000, "x " * 500_000, "\u0301" * 10_000, " ", ""])
async def test_what_is_no_query_is_refused(shop: Shop, typed: str) -> None:
    response = await shop.client.post("/search", json={"q": typed})
    assert response.status_code in {413, 422}
    assert response.json()["errors"][0]["field"] == "q"


async def test_what_is_typed_around_a_title_does_not_hide_it(shop: Shop) -> None:
    for typed in ('"title 7"', "title:7", "title* 7", "TITLE 7!", "🏕️ title 7"):
        assert await first(shop, q=typed, k=3) == NAMES[7], typed


async def test_an_item_without_a_title_and_one_with_too_many_words_are_taken(shop: Shop) -> None:
    assert (await shop.client.put("/items/zzz", json={})).status_code == 200
    assert (await shop.client.put("/items/yyy", json={"title": "word " * 10_000})).status_code in {200, 422}
    assert await first(shop, q="title 7", k=3) == NAMES[7]


@pytest.mark.parametrize("error", [PriorsError("cannot read …/priors/texts.json"), ZeroDivisionError("texts.json")])
async def test_a_damaged_prior_stops_the_start_and_is_named(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def damaged(self: Priors, query: str | None, history_H: np.ndarray, **how: bool) -> Candidates:
        raise error

    monkeypatch.setattr(Priors, "candidates", damaged)
    with pytest.raises(PriorsError, match="texts"):
        await make_deployments(settings).start()


async def test_an_answer_whose_priors_lack_events_of_the_log_is_degraded(
    shop: Shop, deployments: DeploymentManager
) -> None:
    priors = deployments.router.current.catalog.priors
    priors.behind = True
    for path in ("/search?q=title+7", "/recommend?user=ada", "/items/item-9/similar"):
        unasked, asked, alone = [(await shop.client.get(path + more)).json()["degraded"] for more in variants(path)]
        assert (unasked, asked, alone) == (True, True, False)
    priors.behind = False
    assert (await shop.get("/search", q="title 7")).json()["degraded"] is False


async def test_a_word_that_may_be_unfinished_is_not_corrected_to_another(shop: Shop) -> None:
    """Unless nothing would read it as a beginning: words are said to be complete, or the model alone answers."""
    for name, title in (("aaa", "grappling hook"), ("bbb", "gram scale")):
        assert (await shop.client.put(f"/items/{name}", json={"title": title})).status_code in {200, 201}
    for more, corrected in (({}, None), ({"prefix": False}, "gram"), ({"guidance": False}, "gram")):
        body = (await shop.get("/search", q="grap", k=2, **more)).json()
        assert body["corrected_query"] == corrected
        if corrected is None:
            assert [match["field"] for match in body["items"][0]["matched"]] == ["title"]
    assert (await shop.get("/search", q="grap scale", k=2)).json()["corrected_query"] == "gram scale"
