"""A new shop's first days, over HTTP and with the few commands there are. Nothing is faked.

Once with the engine that starts in no time, a T5 in transformers; and once, marked slow, in vLLM, where the page of a
shop's first day is read too.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from catalog.bundle.folder import current_bundle, published_versions
from catalog.data.events import read_events, write_events
from catalog.data.items import write_items
from catalog.data.tombstones import digest_of, read_tombstones, tombstones_beside
from tests.docs.reader import Reader
from tests.docs.serving import FIRST_DAY
from tests.docs.store import VERSIONS
from tests.integration.new_shop import NewShop
from tests.support import world
from tests.support.base_models import make_checkpoint
from trainer.config.recipe import load_recipe
from trainer.pipeline import run

pytestmark = pytest.mark.integration

ITEMS = world.item_table()
AT_FIRST = 24  # items that the first model knows; the packs come later


@pytest.fixture(params=["transformers", pytest.param("vllm", marks=pytest.mark.slow)])
def shop(request: pytest.FixtureRequest, tmp_path: Path, redis_url: str) -> Iterator[NewShop]:
    """A shop with a model of its first items, before its server is started."""
    settings = [*world.TINY, "training.dropout=0", "events.weights={purchase: 5, cart: 3, view: 1}"]
    if request.param == "transformers":
        make_checkpoint("t5", tmp_path / "base")
        settings.append(f"backbone.path={tmp_path / 'base'}")
    items, events = tmp_path / "items.parquet", tmp_path / "first-events.parquet"
    write_items(ITEMS.slice(0, AT_FIRST), items)
    write_events(world.event_table(), events)  # training leaves out those with items that there are not yet
    run(items, events, tmp_path / "bundles", load_recipe("small", settings), resume=False)
    shop = NewShop(tmp_path, redis_url, "trainer" if request.param == "transformers" else None)
    yield shop
    shop.stop()


def test_a_new_shop(shop: NewShop) -> None:
    first = current_bundle(shop.bundles).name
    shop.start()
    give_out_keys(shop)
    fill_the_catalog(shop)
    record_what_users_did(shop)
    look_around(shop)
    take_an_item_out(shop)
    sign_a_visitor_in(shop)
    second = train_again(shop)
    change_the_model(shop, first, second)
    share_the_requests(shop, first, second)
    forget_a_user(shop)
    shop.stop()
    shop.start()
    find_all_as_it_was(shop, first)


def give_out_keys(shop: NewShop) -> None:
    keys = {
        scope: shop("POST", "/admin/keys", {"name": scope, "scopes": [scope]})["key"] for scope in ("read", "write")
    }
    assert shop.ask("GET", "/search", q="tent", key=None).json()["code"] == "key_missing"
    assert shop.ask("GET", "/search", q="tent", key=keys["read"]).status_code == 200
    assert shop.ask("GET", "/search", q="tent", key=keys["write"]).json()["code"] == "scope_missing"
    event = {"user_id": "first", "type": "view", "item_id": "tent-red"}
    assert shop.ask("POST", "/events", event, key=keys["read"]).json()["code"] == "scope_missing"
    assert shop.ask("POST", "/events", event, key=keys["write"]).status_code == 202
    assert shop.ask("DELETE", "/items/tent-red", key=keys["write"]).json()["code"] == "scope_missing"
    assert [key["name"] for key in shop("GET", "/admin/keys")] == ["owner", "read", "write"]


def fill_the_catalog(shop: NewShop) -> None:
    assert sorted(shop.ids("/search", q="red", k=200)) == sorted(ITEMS["item_id"].to_pylist()[:AT_FIRST])
    rows = [{"id": row.pop("item_id")} | row for row in ITEMS.slice(AT_FIRST - 1).to_pylist()]
    change = shop("POST", "/items", rows)
    assert change["replaced"] == ["boot-white"]
    assert change["inserted"] == [f"pack-{colour}" for colour in world.COLOURS]
    assert shop("GET", "/version")["items"] == len(ITEMS)


def record_what_users_did(shop: NewShop) -> None:
    events = world.event_table().to_pylist()
    before = shop.ids("/recommend", user="u4", k=200)
    receipt = shop("POST", "/events", [*events, {"user_id": "u4", "type": "view", "item_id": "ghost"}])
    assert [row["known"] for row in receipt["accepted"]] == [True] * len(events) + [False]
    assert receipt["rejected"] == []
    assert len(before) == len(ITEMS)
    after = shop.ids("/recommend", user="u4", k=200, exclude_seen=True)
    assert set(before) - set(after) == {f"pack-{c}" for c in world.COLOURS}
    again = shop("POST", "/events", events)
    assert all(row["duplicate"] for row in again["accepted"])
    assert shop("GET", "/users/u4/history")["total"] == len(world.COLOURS) + 1  # the ghost is kept


def look_around(shop: NewShop) -> None:
    answer = shop("GET", "/search", q="blue lamp", user="u4", k=3, explain=True)
    assert answer["degraded"] is False
    assert [len(item["explanation"]["levels"]) for item in answer["items"]] == [2, 2, 2]
    pages = list(shop.pages("/search", q="blue lamp", k=8))
    assert [len(page) for page in pages] == [8, 8, 8, 6]
    assert len({item for page in pages for item in page}) == len(ITEMS)
    assert set(shop.ids("/search", q="blue", filter='category = "pack"')) == {f"pack-{c}" for c in world.COLOURS}
    assert set(shop.ids("/recommend", user="u1", filter="price < 12", exclude_seen=True)) == {"tent-red", "tent-blue"}
    assert "lamp-red" not in shop.ids("/items/lamp-red/similar", k=200)


def take_an_item_out(shop: NewShop) -> None:
    assert shop("DELETE", "/items/rope-red")["deleted"] == ["rope-red"]
    assert "rope-red" not in shop.ids("/search", q="red rope", k=200)
    assert shop.ask("GET", "/items/rope-red").status_code == 404
    assert shop("GET", "/users/u1/history")["total"] == len(world.COLOURS)


def sign_a_visitor_in(shop: NewShop) -> None:
    shop(
        "POST",
        "/events",
        [{"user_id": "visit", "type": "view", "item_id": f"lamp-{c}", "query": "lamp"} for c in ("red", "blue")],
    )
    alone = {"k": 200, "guidance": False}  # what guides it follows the log within a second
    both = shop.ids("/recommend", user="u0", session="visit", **alone)
    assert shop("POST", "/users/u0/merge", {"session": "visit"})["moved"] == 2
    assert shop("POST", "/users/u0/merge", {"session": "visit"})["moved"] == 0
    assert shop.ids("/recommend", user="u0", **alone) == both
    latest = shop("GET", "/users/u0/history", limit=2)["events"]
    assert {event["item_id"] for event in latest} == {"lamp-red", "lamp-blue"}


def train_again(shop: NewShop) -> str:
    """The new version, which is not served."""
    first = set(published_versions(shop.bundles))
    items = shop.folder / "items-now.parquet"
    write_items(ITEMS.filter([name != "rope-red" for name in ITEMS["item_id"].to_pylist()]), items)
    events = shop.export()
    people = read_events(events)[0]["user_id"].to_pylist()
    assert "visit" not in people
    assert people.count("u0") == len(world.COLOURS) + 2
    shop.retrain(items, events, "training.steps=4")
    (second,) = set(shop("GET", "/admin/models")["versions"]) - first
    return second


def change_the_model(shop: NewShop, first: str, second: str) -> None:
    asked = {"q": "white pack", "k": 200, "guidance": False}  # what guides it follows the log within a second
    old = shop("GET", "/search", **asked)
    ranking = [item["id"] for item in old["items"]]
    if shop.has_vllm:
        read_about_a_first_day(shop, first, second)
    else:
        assert shop("POST", f"/admin/models/{second}/activate")["previous"] == first
    new = shop("GET", "/search", **asked)
    assert (old["model"], new["model"]) == (first, second)
    assert sorted(item["id"] for item in new["items"]) == sorted(ranking)
    assert [item["score"] for item in new["items"]] != [item["score"] for item in old["items"]]
    assert shop("POST", "/admin/models/rollback")["model"] == first
    assert shop.ids("/search", **asked) == ranking


def read_about_a_first_day(shop: NewShop, first: str, second: str) -> None:
    """The page's shop opens in this one and is closed again. By its end the second model is active."""
    renamed = dict(zip(VERSIONS, (first, second), strict=True))
    Reader(shop.folder / "reader", shop.as_store(), exact=True, renamed=renamed).read_all(FIRST_DAY)
    shop("DELETE", "/overrides/teas")
    shop("DELETE", "/synonyms/cuppa")
    for number in range(1, 7):
        shop("DELETE", f"/items/TEA-{number}")
    (key,) = [key["id"] for key in shop("GET", "/admin/keys") if key["name"] == "hilltop"]
    shop("DELETE", f"/admin/keys/{key}")


def share_the_requests(shop: NewShop, first: str, second: str) -> None:
    weights = {first: 50, second: 50}
    assert shop("PUT", "/admin/traffic", {"weights": weights})["traffic"] == weights
    models = [[shop("GET", "/recommend", user=f"u{n}", k=1)["model"] for _ in range(2)] for n in range(20)]
    assert all(one == other for one, other in models)
    assert {model for model, _ in models} == {first, second}
    assert shop("DELETE", "/admin/traffic")["traffic"].keys() == {first}
    assert {shop("GET", "/recommend", user=f"u{n}", k=1)["model"] for n in range(5)} == {first}


def forget_a_user(shop: NewShop) -> None:
    assert shop("DELETE", "/users/u0")["events_erased"] == len(world.COLOURS) + 2
    assert_forgotten(shop)
    shop("POST", "/events", {"user_id": "u2", "type": "view", "item_id": "pack-red", "event_id": "last"})


def assert_forgotten(shop: NewShop) -> None:
    for name in ("u0", "visit"):
        assert shop("GET", f"/users/{name}/history")["total"] == 0
    events = shop.export()
    assert not {"u0", "visit"} & set(read_events(events)[0]["user_id"].to_pylist())
    assert set(read_tombstones(tombstones_beside(events))) == {digest_of("u0"), digest_of("visit")}


def find_all_as_it_was(shop: NewShop, first: str) -> None:
    models = shop("GET", "/admin/models")
    assert models["current"] == first
    assert models["traffic"].keys() == {first}
    found = shop.ids("/search", q="red", k=200)
    assert sorted(found) == sorted(set(ITEMS["item_id"].to_pylist()) - {"rope-red"})
    assert shop("GET", "/users/u2/history", limit=1)["events"][0]["event_id"] == "last"
    assert_forgotten(shop)
    assert [key["name"] for key in shop("GET", "/admin/keys")] == ["owner", "read", "write"]
