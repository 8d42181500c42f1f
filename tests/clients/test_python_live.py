"""Every method of both Python clients against a server of the small shop and a real Redis."""

import asyncio
import datetime
import inspect
import logging
import time
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest

from gemserve_client import (
    ApiError,
    AsyncClient,
    Browse,
    Client,
    Conflict,
    ConnectionFailed,
    Event,
    Forbidden,
    InvalidRequest,
    NotFound,
    Popular,
    Recommend,
    Retries,
    Search,
    Seen,
    Similar,
    TooManyRequests,
    Unauthenticated,
)
from tests.clients.conftest import LiveShop

pytestmark = pytest.mark.integration

FIRST, SECOND = "2025-11-20-a", "2025-11-21-a"
MOMENT = 1_700_000_000_000


class Awaited:
    """An AsyncClient as if it were the other one: what it would await is awaited, what it would yield is a list."""

    def __init__(self, client: AsyncClient, runner: asyncio.Runner) -> None:
        self._client = client
        self._runner = runner

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            made = getattr(self._client, name)(*arguments, **options)
            return self._runner.run(listed(made) if inspect.isasyncgen(made) else made)

        return call


async def listed(rows: AsyncIterator[Any]) -> list[Any]:
    return [row async for row in rows]


Connect = Callable[..., Any]


@pytest.fixture(params=["waits", "awaits"])
def connect(request: pytest.FixtureRequest, live_shop: LiveShop) -> Iterator[Connect]:
    """Makes clients of one kind or the other; with the key for everything unless told otherwise."""
    made = []
    with asyncio.Runner() as runner:

        def make(**options: Any) -> Any:
            given = {"key": live_shop.key, "url": live_shop.url} | options
            made.append(Client(**given) if request.param == "waits" else Awaited(AsyncClient(**given), runner))
            return made[-1]

        yield make
        for client in made:
            client.close()


@pytest.fixture
def shop(connect: Connect) -> Any:
    return connect()


@pytest.fixture
def user() -> str:
    return f"user/{uuid.uuid4().hex}:κ & more"


def ids(answer: Any) -> list[str]:
    return [item.id for item in answer.items]


def saw(user: str, *items: str, **more: Any) -> list[Event]:
    given = {"type": "view"} | more
    return [Event(user_id=user, item_id=item, timestamp=MOMENT + i, **given) for i, item in enumerate(items)]


def test_a_search(shop):
    answer = shop.search("tent", k=5, filter="price < 20", fields=["price"], explain=True)
    assert len(answer.items) == 5
    assert {frozenset(item.fields) for item in answer.items} == {frozenset({"price"})}
    assert all(item.fields["price"] < 20 for item in answer.items)
    assert all(item.reason.code == "query" and len(item.explanation.levels) == 2 for item in answer.items)
    assert all(abs(sum(item.explanation.shares.values()) - item.score) < 1e-4 for item in answer.items)
    assert answer.model == FIRST
    assert not answer.degraded
    assert answer.extra == {}


def test_a_search_tells_which_words_an_item_has(shop):
    for complete in (None, False, True):
        (item,) = shop.search("titl 7", k=1, prefix=complete, candidates=["item-7"]).items
        assert [(match.word, match.field) for match in item.matched] == [("title", "title"), ("7", "title")]
    (item,) = shop.search("7 alpi", k=1, candidates=["item-7"], correct=False).items
    assert ("alpi", "brand") in [(match.word, match.field) for match in item.matched]
    (item,) = shop.search("7 alpi", k=1, candidates=["item-7"], correct=False, prefix=False).items
    assert [match.word for match in item.matched] == ["7"]


def test_pages_have_every_item_once(shop):
    pages = list(shop.pages(Search("tent", k=7)))
    shown = [name for page in pages for name in ids(page)]
    assert len(shown) == len(set(shown)) == 28
    assert [len(page.items) for page in pages[:4]] == [7, 7, 7, 7]


def test_recommendations_for_a_user_a_session_and_a_visitor(shop, user):
    session = f"{user}/session"
    shop.send_events([*saw(user, "item-7"), *saw(session, "item-8")])
    assert "item-7" not in ids(shop.recommend(user=user, k=28, exclude_seen=True))
    assert not {"item-7", "item-8"} & set(ids(shop.recommend(user=user, session=session, k=28, exclude_seen="view")))
    visitor = ["item-4", Seen("item-9", query="lamp"), Seen("item-10", type="cart")]
    shown = set(ids(shop.recommend(history=visitor, k=28, exclude_seen={"cart", "purchase"})))
    assert shown & {"item-4", "item-9", "item-10"} == {"item-4", "item-9"}


def test_facets_an_order_and_shelves(shop):
    answer = shop.recommend(
        user="nobody", facets=iter(["brand", "price"]), filter="price < 20", sort_by="price:desc", k=3
    )
    assert [item.fields["price"] for item in answer.items] == [19.0, 18.0, 16.0]
    assert (answer.total, answer.total_is) == (18, "allowed")
    assert answer.facetDistribution == {"brand": {"Alpina": 18}, "price": {}}
    assert answer.facetValues == {"brand": 1, "price": 18}
    assert (answer.facetStats["price"].min, answer.facetStats["price"].max) == (0.0, 19.0)
    shelf = shop.browse(filter='category = "camping"', sort_by="price:desc,id", limit=4)
    assert [item.fields["price"] for item in shelf.items] == [29.0, 28.0, 27.0, 26.0]
    pages = list(shop.pages(Browse(sort_by="price", k=10)))
    assert [item.fields["price"] for page in pages for item in page.items] == sorted(
        float(row) for row in range(30) if row not in {5, 17}
    )
    (result,) = shop.batch([Browse(k=2, total=True, sort_by="price")])
    assert [item.fields["price"] for item in result.unwrap().items] == [0.0, 1.0]
    assert len(shop.search("*", k=5).items) == 5
    with pytest.raises(InvalidRequest, match="character 7"):
        shop.browse(sort_by="price,prise")


def test_shelves_and_baskets(shop):
    for answer in (shop.popular(limit=3), shop.trending(k=3), shop.latest(k=3, candidates={"item-4"})):
        assert 1 <= len(answer.items) <= 3
    pages = list(shop.pages(Popular(k=10)))
    assert len({item.id for page in pages for item in page.items}) == 28
    assert isinstance(shop.bought_together("tent/2 person").total, int)
    basket = shop.similar_to_basket(iter(["tent/2 person", "item-4"]), k=2, filter="price > 0")
    assert len(basket.items) == 2
    with pytest.raises(NotFound):
        shop.similar_to_basket(["no such item"])


def test_similar_items(shop):
    answer = shop.similar("tent/2 person", k=3, filter="price < 25", fields=["brand", "price"])
    assert len(answer.items) == 3
    assert "tent/2 person" not in ids(answer)
    assert set(answer.items[0].fields) == {"brand", "price"}
    with pytest.raises(NotFound):
        shop.similar("no such item")


def test_a_batch(shop, user):
    questions = [
        Search("tent", k=2),
        Recommend(user=user, k=3),
        Similar("item-4", k=4),
        Search("x", filter="prize < 3"),
    ]
    results = {result.index: result for result in shop.batch(questions)}
    assert [len(results[i].unwrap().items) for i in range(3)] == [2, 3, 4]
    assert results[3].error.code == "invalid_filter"
    assert [results[i].question for i in range(4)] == questions


def test_events_histories_merging_and_erasure(shop, user):
    session = f"{user}/session"
    events = [*saw(user, "item-4", "item-6", type="click"), *saw(user, "no such item")]
    receipt = shop.send_events(events)
    assert [(row.index, row.duplicate, row.known) for row in receipt.accepted] == [
        (0, False, True),
        (1, False, True),
        (2, False, False),
    ]
    assert all(row.duplicate for row in shop.send_events(events).accepted)
    strange = shop.send_events([*saw(user, "item-4", type="stare"), *events[:1]])
    assert [(row.index, row.field, row.code) for row in strange.rejected] == [(0, "type", "enum")]
    assert [row.code for row in shop.send_events(saw(user, "item-4", type="stare")).rejected] == ["enum"]

    past = shop.history(user, limit=1)
    assert [(e.item_id, e.type, e.event_id, e.title) for e in past.events] == [
        ("item-6", "click", events[1].event_id, None)
    ]
    assert shop.history("nobody").events == ()

    shop.send_events(saw(session, "item-9", query="lamp"))
    assert shop.merge(user, session).moved == 1
    assert shop.merge(user, session).moved == 0
    assert {e.item_id: e.query for e in shop.history(user).events} == {
        "no such item": None,
        "item-4": None,
        "item-6": None,
        "item-9": "lamp",
    }
    assert shop.erase(user).events_erased >= 4
    assert shop.history(user).events == ()


def test_items_are_written_read_and_deleted(shop):
    name = "κ & more/new tent"  # of all runs, as a deleted item keeps its path, of which there are few
    change = shop.put_item(name, {"title": "New", "price": 9.5})
    assert change.inserted + change.replaced == (name,)
    assert (shop.item(name).title, shop.item(name).fields["price"]) == ("New", 9.5)
    assert shop.patch_item(name, {"price": 8, "title": None}).replaced == (name,)
    assert (shop.item(name).title, shop.item(name).fields["price"]) == (None, 8.0)
    with pytest.raises(InvalidRequest, match="did you mean price"):
        shop.patch_item(name, {"pirce": 8})
    assert shop.put_items([{"id": name, "title": "Newer"}]).replaced == (name,)
    assert shop.delete_item(name).deleted == (name,)
    with pytest.raises(NotFound) as caught:
        shop.item(name)
    assert caught.value.code == "item_not_found"
    with pytest.raises(InvalidRequest):
        shop.put_items([{"title": "without an id"}])


def test_columns_are_shown_added_and_dropped(shop):
    added = shop.patch_schema(add={"py fragile": "bool"})
    assert (added.added_columns, added.columns[-1].name, added.columns[-1].added) == (
        ("py fragile",),
        "py fragile",
        True,
    )
    assert shop.schema().columns == added.columns
    assert shop.patch_schema(drop={"py fragile"}).dropped_columns == ("py fragile",)
    with pytest.raises(ApiError) as caught:
        shop.patch_schema(drop=["py fragile"])
    assert (caught.value.status, caught.value.code) == (409, "column_conflict")


def test_synonyms_are_written_read_and_deleted(shop):
    written = shop.put_synonyms("shelters", ["tent", "bivouac"], root=None)
    assert (written.id, written.synonyms, written.root, written.created) == (
        "shelters",
        ("tent", "bivouac"),
        None,
        True,
    )
    understood = shop.search("bivouac").understood
    assert (understood.filter, understood.price) == (None, None)
    assert [(one.id, one.word, one.read_as) for one in understood.synonyms] == [("shelters", "bivouac", "tent")]
    assert shop.put_synonyms("one way", {"tent"}, root="yurt").created
    assert [one.id for one in shop.synonyms(q="YURT").synonyms] == ["one way"]
    page = shop.synonyms(limit=1)
    assert ([one.id for one in page.synonyms], page.total, page.next_cursor) == (["one way"], 2, "one way")
    assert [one.id for one in shop.synonyms(cursor=page.next_cursor).synonyms] == ["shelters"]
    assert shop.synonym_set("one way").root == "yurt"
    with pytest.raises(InvalidRequest):
        shop.put_synonyms("self", ["tent", "Tent"])
    assert [shop.delete_synonyms(name).id for name in ("one way", "shelters")] == ["one way", "shelters"]
    with pytest.raises(NotFound) as caught:
        shop.synonym_set("one way")
    assert caught.value.code == "synonym_not_found"


def test_overrides_are_written_read_and_deleted(shop):
    pins = {"rule": {"query": "tent", "match": "contains"}, "includes": [{"id": "item-9", "position": 2}]}
    begins = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
    written = shop.put_override("pins", pins | {"excludes": ["ghost"], "starts_at": begins})
    assert (written.id, written.created, written.missing) == ("pins", True, ("ghost",))
    assert (written.includes[0].position, written.starts_at) == (2, "2026-01-01T00:00:00Z")
    answer = shop.search("big tent", k=3, explain=True)
    assert (answer.overrides, answer.pinned, answer.items[1].id) == (("pins",), ("item-9",), "item-9")
    assert answer.items[1].explanation.override == "pins"
    assert shop.search("big tent", enable_overrides=False).overrides is None
    boost = {"rule": {"tags": ["sale"]}, "boost": [{"condition": "price > 20", "factor": 3}]}
    assert shop.put_override("sale", boost).boost[0].factor == 3
    assert shop.search("rope", override_tags={"sale"}).overrides == ("sale",)
    assert [one.result for one in shop.import_overrides([boost | {"id": "sale"}])] == ["unchanged"]
    page = shop.overrides(limit=1)
    assert ([one.id for one in page.overrides], page.total, page.next_cursor) == (["pins"], 2, "pins")
    assert [one.id for one in shop.overrides(cursor=page.next_cursor).overrides] == ["sale"]
    assert shop.override("sale").rule.tags == ("sale",)
    with pytest.raises(InvalidRequest) as refused:
        shop.put_override("all", {"rule": {}, "excludes": ["a"]})
    assert refused.value.errors[0]["code"] == "matches_everything"
    assert [shop.delete_override(name).id for name in ("pins", "sale")] == ["pins", "sale"]
    with pytest.raises(NotFound) as caught:
        shop.override("sale")
    assert caught.value.code == "override_not_found"


def test_models_and_their_traffic(shop, user):
    models = shop.models()
    assert (models.current, models.versions, set(models.traffic)) == (FIRST, (FIRST, SECOND), {FIRST})
    assert shop.model(FIRST).role == "current"
    assert (shop.model(SECOND).report, shop.model(SECOND).manifest.engine) == (None, "vllm")
    assert set(shop.set_traffic({FIRST: 1, SECOND: 1}).traffic) == {FIRST, SECOND}
    assert {shop.search("tent", user=f"{user}-{i}").model for i in range(20)} == {FIRST, SECOND}
    assert set(shop.clear_traffic().traffic) == {FIRST}
    with pytest.raises(Conflict) as caught:
        shop.fleet()
    assert caught.value.code == "no_fleet"
    assert shop.activate(SECOND).previous == FIRST
    assert shop.search("tent").model == SECOND
    assert shop.roll_back().model == FIRST
    with pytest.raises(NotFound):
        shop.activate("no such model")


def test_keys_are_made_limited_and_revoked(shop, connect):
    made = shop.create_key("page", ["read"], rate_per_second=0.01, burst=1, concurrency=3)
    keys = {key.name: key for key in shop.keys()}  # noqa: SIM118 - of a client, which is no dictionary
    assert (keys["page"].id, keys["page"].rate_per_second, keys["page"].burst) == (made.id, 0.01, 1)
    assert keys["page"].concurrency == 3
    page = connect(key=made.key, retries=Retries(attempts=1))
    page.search("tent")
    with pytest.raises(TooManyRequests) as caught:
        page.search("tent")
    assert caught.value.retry_after > 1
    shop.revoke_key(made.id)
    (left,) = shop.keys()
    with pytest.raises(Conflict):
        shop.revoke_key(left.id)


def test_changes_are_listed_with_their_makers(shop):
    made = shop.create_key("page", ["read"])
    shop.revoke_key(made.id)
    page = shop.audit(limit=1)
    assert (page.changes[0].method, page.changes[0].target) == ("DELETE", {"key_id": made.id})
    (before,) = shop.audit(limit=1, cursor=page.next_cursor).changes
    assert (before.method, before.route, before.target) == ("POST", "/admin/keys", {})


def test_analytics_count_searches_and_clicks(shop, user):
    word = f"tent {uuid.uuid4().hex}"
    answer = shop.search(word, user=user)
    clicked = Event(user_id=user, item_id=answer.items[0].id, type="click", request_id=answer.request_id)
    shop.send_events([clicked])
    while not (told := [one for one in shop.analytics_queries(limit=1_000).queries if one.query == word]):
        time.sleep(0.2)
    (mine,) = told
    assert (mine.intents, mine.users, mine.clicked, mine.mean_position) == (1, 1, 1, 1)
    assert word not in {one.query for one in shop.analytics_no_clicks(limit=1_000).queries}
    assert word not in {one.query for one in shop.analytics_no_results(least=2).queries}
    assert shop.analytics_queries(last="2026-01-01").queries == ()
    assert {row.kind for row in shop.analytics_metrics(model=FIRST).metrics} >= {"search"}
    experiment = shop.analytics_experiment(goal="conversion")
    assert {FIRST} <= {one.model for one in experiment.versions}
    assert (experiment.goal, experiment.decided) == ("conversion", False)


def test_a_key_for_some_items_some_routes_and_some_time(shop, connect):
    moment = datetime.datetime(2999, 1, 1, tzinfo=datetime.UTC)
    made = shop.create_key("cheap", ["read"], expires_at=moment, filter_by="price < 100", routes=["POST /search"])
    assert (made.expires_at, made.filter_by, made.routes) == ("2999-01-01T00:00:00Z", "price < 100", ("POST /search",))
    page = connect(key=made.key)
    found = page.search("tent", k=20).items
    assert found
    assert all(item.fields["price"] < 100 for item in found)
    with pytest.raises(Forbidden):
        page.recommend(user="nobody")
    with pytest.raises(InvalidRequest):
        shop.create_key("cheap", ["read"], filter_by="nothing < 100")
    shop.revoke_key(made.id)


def test_a_key_opens_what_its_scopes_say(shop, connect):
    with pytest.raises(Unauthenticated):
        connect(key=None).search("tent")
    made = shop.create_key("page", ["read"])
    with pytest.raises(Forbidden):
        connect(key=made.key).erase("nobody")
    shop.revoke_key(made.id)


def test_version_and_readiness_need_no_key(connect):
    anonymous = connect(key=None)
    assert (anonymous.version().model, anonymous.version().items) == (FIRST, 30)
    assert anonymous.ready().status == "ready"


def test_an_error_says_what_was_wrong(shop):
    with pytest.raises(InvalidRequest) as caught:
        shop.search("tent", k=1_000)
    assert caught.value.code == "invalid_request"
    assert caught.value.errors[0]["field"] == "k"
    with pytest.raises(InvalidRequest) as caught:
        shop.search("tent", filter="price <")
    assert caught.value.code == "invalid_filter"
    assert "position" in caught.value.members


def test_a_request_is_found_in_the_servers_log_by_its_id_and_a_key_nowhere(connect, live_shop, caplog):
    name = uuid.uuid4().hex
    with caplog.at_level(logging.DEBUG):
        assert connect(request_id=lambda: name).search("tent").request_id == name
    assert live_shop.key not in caplog.text
    assert not [line for line in live_shop.log if live_shop.key in line]


def test_nobody_there(connect, unused_tcp_port):
    away = connect(url=f"http://127.0.0.1:{unused_tcp_port}", retries=Retries(attempts=2, first_seconds=0.01))
    with pytest.raises(ConnectionFailed, match="no connection"):
        away.version()
