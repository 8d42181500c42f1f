"""Parameters that people bring from elsewhere: tracking parameters, and names that other services use."""

from pathlib import Path

import orjson
import pytest

from server.core.settings import Settings
from tests.support.http_shop import Shop
from tests.support.problems import assert_problem
from tests.support.small_shop import patient_settings

TRACKED = "utm_source=mail&utm_campaign=a&gclid=1&fbclid=2&_=1700000000&msclkid=3&gclid=4"
SIMILAR = "/items/tent%2F2%20person/similar"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return patient_settings(tmp_path).model_copy(update={"open_admin": True})


@pytest.mark.parametrize(
    "path",
    ["/search?q=tent", "/recommend?user=ada", f"{SIMILAR}?k=3", "/users/ada/history?limit=3", "/items/item-9", "/"],
)
async def test_tracking_parameters_are_ignored_by_every_get(shop: Shop, path: str) -> None:
    clean, tracked = await shop.get(path), await shop.get(f"{path}{'&' if '?' in path else '?'}{TRACKED}")
    assert tracked.status_code == clean.status_code == 200
    if path != "/":
        unstable = dict.fromkeys(("request_id", "took_ms", "next_cursor"))
        assert tracked.json() | unstable == clean.json() | unstable


@pytest.mark.parametrize(
    ("path", "field", "near"),
    [
        ("/search?q=tent&filtre=price", "filtre", "filter"),
        ("/search?q=tent&utmsource=mail", "utmsource", None),
        ("/recommend?usr=ada", "usr", "user"),
        (f"{SIMILAR}?limmit=3", "limmit", "limit"),
        ("/users/ada/history?limits=3", "limits", "limit"),
        ("/search?q=tent&GCLID=1", "GCLID", None),
    ],
)
async def test_other_unknown_parameters_are_refused_with_the_nearest(
    shop: Shop, path: str, field: str, near: str | None
) -> None:
    body = assert_problem(await shop.get(path), 422, "invalid_request")
    (fault,) = body["errors"]  # type: ignore[misc]
    assert (fault["field"], fault["code"]) == (field, "extra_forbidden")  # type: ignore[index]
    assert (f"did you mean {near}?" in fault["message"]) == (near is not None)  # type: ignore[index]


async def test_a_body_has_no_tracking_parameters(shop: Shop) -> None:
    response = await shop.client.post("/search", json={"q": "tent", "utm_source": "mail"})
    body = assert_problem(response, 422, "invalid_request")
    assert "did you mean" not in str(body["detail"])


@pytest.mark.parametrize(
    ("path", "field", "says"),
    [
        ("/search?k=1", "k", "send it in the body"),
        ("/search?limit=1&utm_source=mail", "limit", "send it in the body"),
        ("/search?filtre=price", "filtre", "did you mean filter? Send it in the body"),
        ("/recommend?user_id=ada", "user_id", "send it in the body"),
        ("/users/ada/merge?session=visit", "session", "send it in the body"),
        ("/events?user=ada", "user", "send it in the body"),
        ("/items?titel=x", "titel", "did you mean title? Send it in the body"),
        ("/admin/models/rollback?force=1", "force", "this URL takes no parameters"),
    ],
)
async def test_parameters_in_the_url_of_a_post_are_refused(shop: Shop, path: str, field: str, says: str) -> None:
    body = assert_problem(await shop.client.post(path, json={"q": "tent", "k": 2}), 422, "invalid_request")
    (fault,) = body["errors"]  # type: ignore[misc]
    assert (fault["field"], fault["code"]) == (field, "extra_forbidden")  # type: ignore[index]
    assert says in fault["message"]  # type: ignore[index]


async def test_an_unknown_parameter_is_refused_at_every_address(shop: Shop) -> None:
    """But by health and metrics, whose callers add parameters of their own."""
    paths = (await shop.get("/openapi.json")).json()["paths"]
    accepted = set()
    for path, operations in paths.items():
        for method in operations:
            response = await shop.client.request(method, f"{path.format_map(Filled())}?surely_unknown=1", json={})
            if response.status_code != 422 or "surely_unknown" not in response.json()["detail"]:
                accepted.add(path)
    assert accepted == {"/health/live", "/health/ready", "/metrics"}
    assert_problem(await shop.get("/openapi.json", surely_unknown=1), 422, "invalid_request")


class Filled(dict[str, str]):
    """A value for every place in an address."""

    def __missing__(self, name: str) -> str:
        return "item-9"


@pytest.mark.parametrize("path", ["/items/item-9", "/version", "/openapi.json", "/health/live", "/metrics", "/docs"])
async def test_tracking_parameters_are_ignored_where_no_parameter_is_known(shop: Shop, path: str) -> None:
    assert (await shop.get(f"{path}?{TRACKED}")).status_code == 200


async def test_whole_numbers_are_ids_in_every_body(shop: Shop) -> None:
    assert (await shop.client.put("/items/7", json={"id": 7, "title": "Seven"})).status_code == 200
    assert (await shop.post({"user_id": 7, "item_id": 7, "type": "view"})).json()["rejected"] == []

    async def answer(body: object) -> list[object]:
        response = await shop.client.post("/recommend", json=body)
        assert response.status_code == 200, response.text
        return [item["id"] for item in response.json()["items"]]

    assert await answer({"user_id": 7}) == await answer({"user": "7"})
    assert await answer({"session": 7}) == await answer({"session_id": "7"})
    assert await answer({"history": [7, {"item": 7}]}) == await answer({"history": ["7", {"item_id": "7"}]})
    assert await answer({"user": "ada", "candidates": [7]}) == ["7"]
    merged = await shop.client.post("/users/ada/merge", json={"session": 7})
    assert (merged.json()["session"], merged.json()["moved"]) == ("7", 1)
    lines = [{"kind": "similar", "item": 7, "k": 2}, {"kind": "recommend", "user": 7}]
    answers = [orjson.loads(line) for line in (await shop.client.post("/batch", json=lines)).content.splitlines()]
    assert all("answer" in line for line in answers)


@pytest.mark.parametrize("id_", [True, 7.5, [7], None])
async def test_what_is_neither_text_nor_a_whole_number_is_no_id(shop: Shop, id_: object) -> None:
    assert_problem(await shop.client.post("/recommend", json={"candidates": [id_], "user": 1}), 422, "invalid_request")


async def test_an_error_names_the_parameter_as_it_was_sent(shop: Shop) -> None:
    async def field(path: str, body: object) -> object:
        problem = (await shop.client.post(path, json=body)).json()
        return (problem["errors"] if "errors" in problem else problem["rejected"])[0]["field"]

    assert await field("/recommend", {"user_id": True}) == "user_id"
    assert await field("/recommend", {"user": True}) == "user"
    assert await field("/search", {"q": "tent", "limit": 0}) == "limit"
    assert await field("/recommend", {"history": [{"item_id": "a"}, {"item": ""}]}) == "history.1.item"
    assert await field("/users/ada/merge", {"session_id": ""}) == "session_id"
    assert await field("/events", {"user": "", "item_id": "a", "type": "view"}) == "user"
    body = assert_problem(await shop.get("/search", q="tent", limit=0), 422, "invalid_request")
    assert body["errors"][0]["field"] == "limit"  # type: ignore[index]


@pytest.mark.parametrize(
    "path", ["/", "/docs", "/version", "/openapi.json", "/metrics", "/health/live", "/items/item-9"]
)
async def test_head_is_answered_wherever_get_is(shop: Shop, path: str) -> None:
    plain = {"Accept-Encoding": "identity"}
    got, head = await shop.client.get(path, headers=plain), await shop.client.head(path, headers=plain)
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-type"] == got.headers["content-type"]
    if path != "/metrics":
        assert head.headers["content-length"] == str(len(got.content))


async def test_head_is_no_get_where_there_is_none(shop: Shop) -> None:
    response = await shop.client.head("/events")
    assert (response.status_code, response.content, response.headers["allow"]) == (405, b"", "POST")
    assert (await shop.client.delete("/version")).headers["allow"] == "GET, HEAD"
    assert (await shop.client.head("/items/nothing")).status_code == 404


async def test_limit_is_k(shop: Shop) -> None:
    alike = [
        await shop.get("/search", q="tent", k=3),
        await shop.get("/search", q="tent", limit=3),
        await shop.get("/search", q="tent", limit=3, k=3),
        await shop.client.post("/search", json={"q": "tent", "limit": 3}),
        await shop.client.post("/search", json={"q": "tent", "limit": 3, "k": 3}),
    ]
    assert [response.status_code for response in alike] == [200] * 5
    assert len({str(response.json()["items"]) for response in alike}) == 1
    assert len(alike[0].json()["items"]) == 3
    assert len(await shop.ids(SIMILAR, limit=2)) == 2
    assert len(await shop.ids("/recommend", user="ada", limit=2)) == 2


async def test_user_id_session_id_and_item_id_are_user_session_and_item(shop: Shop) -> None:
    await shop.saw("ada", "item-9")
    await shop.saw("visit", "item-10")
    wanted = await shop.ids("/recommend", user="ada", session="visit", k=30, exclude_seen="true")
    assert not {"item-9", "item-10"} & set(wanted)
    assert await shop.ids("/recommend", user_id="ada", session_id="visit", limit=30, exclude_seen="true") == wanted
    body = {"user_id": "ada", "session_id": "visit", "limit": 30, "exclude_seen": True}
    posted = (await shop.client.post("/recommend", json=body)).json()
    assert [item["id"] for item in posted["items"]] == wanted
    one = (await shop.client.post("/recommend", json={"history": [{"item": "item-9"}]})).json()
    other = (await shop.client.post("/recommend", json={"history": [{"item_id": "item-9"}]})).json()
    assert one["items"] == other["items"]


async def test_lines_of_a_batch_know_them_too(shop: Shop) -> None:
    await shop.saw("ada", "item-9")
    lines = [
        {"kind": "recommend", "user": "ada", "k": 3}, {"kind": "recommend", "user_id": "ada", "limit": 3},
        {"kind": "similar", "item": "item-9", "k": 3}, {"kind": "similar", "item_id": "item-9", "limit": 3},
        {"kind": "similar", "item_id": "item-9", "item": "item-10"}, {"kind": "search", "q": "tent", "lmit": 3},
    ]  # fmt: skip
    response = await shop.client.post("/batch?ordered=true", json=lines)
    answers = [orjson.loads(line) for line in response.content.splitlines()]
    assert answers[0]["answer"]["items"] == answers[1]["answer"]["items"]
    assert answers[2]["answer"]["items"] == answers[3]["answer"]["items"]
    assert answers[4]["problem"]["errors"][0]["code"] == "two_names"
    assert "did you mean limit?" in answers[5]["problem"]["detail"]


async def test_events_merges_and_histories_know_them_too(shop: Shop) -> None:
    assert (await shop.post([{"user": "visit", "item": "item-9", "type": "view"}])).json()["rejected"] == []
    merged = await shop.client.post("/users/ada/merge", json={"session_id": "visit"})
    assert merged.json()["moved"] == 1
    history = (await shop.get("/users/ada/history", k=1)).json()
    assert [event["item_id"] for event in history["events"]] == ["item-9"]
    receipt = await shop.post([{"user": "ada", "user_id": "eve", "item_id": "item-9", "type": "view"}])
    assert_problem(receipt, 422, "invalid_event")
    assert receipt.json()["rejected"][0]["code"] == "two_names"


@pytest.mark.parametrize(
    ("path", "two"),
    [
        ("/search?q=tent&k=3&limit=4", "k and limit"),
        ("/recommend?user=ada&user_id=eve", "user and user_id"),
        (f"{SIMILAR}?limit=4&k=3", "limit and k"),
        ("/users/ada/history?limit=4&k=3", "limit and k"),
    ],
)
async def test_both_given_and_different_is_a_contradiction(shop: Shop, path: str, two: str) -> None:
    body = assert_problem(await shop.get(path), 422, "invalid_request")
    assert f"{two} are names of one parameter and say different things" in str(body["detail"])


async def test_a_batch_knows_its_own_parameters_only(shop: Shop) -> None:
    line = {"kind": "search", "q": "tent"}
    body = assert_problem(await shop.client.post("/batch?order=true", json=[line]), 422, "invalid_request")
    assert "did you mean ordered?" in str(body["detail"])
    assert (await shop.client.post("/batch?utm_source=mail", json=[line])).status_code == 200
