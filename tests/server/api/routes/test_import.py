"""POST /items/import: every line is answered, and those that the catalog takes are kept."""

import asyncio
import gzip
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from starlette.types import Message

from server.api.bulk import importer as importing
from server.api.bulk import lines as reading
from server.api.bulk.lines import BodyLines, chunked
from server.core.errors import HistoryUnavailable
from server.core.settings import Settings
from server.serving.manager import DeploymentManager
from tests.support.http_shop import Shop
from tests.support.memory_changes import MemoryChanges
from tests.support.problems import assert_problem
from tests.support.small_shop import patient_settings
from tests.support.waiting import PATIENCE_SECONDS, until

NDJSON = {"content-type": "application/x-ndjson"}


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return patient_settings(tmp_path).model_copy(update={"open_admin": True})


async def imported(shop: Shop, *lines: object, **parameters: object) -> list[dict[str, Any]]:
    content = b"\n".join(line if isinstance(line, bytes) else orjson.dumps(line) for line in lines)
    response = await shop.client.post("/items/import", content=content, headers=NDJSON, params=parameters)
    assert response.status_code == 200, response.text
    assert response.headers["content-type"].startswith("application/x-ndjson")
    answers = [orjson.loads(line) for line in response.content.splitlines()]
    assert [answer["index"] for answer in answers] == list(range(len(answers)))
    return answers


def words(answers: list[dict[str, Any]]) -> list[str]:
    return [answer["result"] if "result" in answer else answer["problem"]["code"] for answer in answers]


async def item(shop: Shop, item_id: str) -> dict[str, Any]:
    answer: dict[str, Any] = (await shop.get(f"/items/{item_id}")).json()
    return answer


@pytest.fixture
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of four lines."""
    monkeypatch.setattr(reading, "MAX_CHUNK_LINES", 4)


OLD, NEW = "item-4", "new"
ACTIONS = [
    ("create", OLD, "item_exists", None),
    ("create", NEW, "inserted", {"price": 5.0, "brand": None}),
    ("upsert", OLD, "replaced", {"price": 5.0, "title": None}),
    ("upsert", NEW, "inserted", {"price": 5.0, "title": None}),
    ("update", OLD, "updated", {"price": 5.0, "title": "title of item-4"}),
    ("update", NEW, "item_not_found", None),
    ("emplace", OLD, "updated", {"price": 5.0, "title": "title of item-4"}),
    ("emplace", NEW, "inserted", {"price": 5.0, "title": None}),
]


@pytest.mark.parametrize(("action", "item_id", "word", "kept"), ACTIONS)
async def test_actions(shop: Shop, action: str, item_id: str, word: str, kept: dict[str, Any] | None) -> None:
    assert (await shop.client.patch(f"/items/{OLD}", json={"title": "title of item-4"})).status_code == 200
    before = await item(shop, item_id)
    line = {"id": item_id, "price": 5}
    for dry_run in ("true", "false"):
        (answer,) = await imported(shop, line, action=action, dry_run=dry_run)
        assert words([answer]) == [word]
        assert answer["id"] == item_id
        if dry_run == "true":
            after = await item(shop, item_id)
            assert after.get("title") == before.get("title")
            assert after.get("price") == before.get("price")
    after = await item(shop, item_id)
    if kept is not None:
        assert {name: after[name] for name in kept} == kept
        again = await imported(shop, line, action="update")
        assert words(again) == ["unchanged"]


async def test_a_broken_line_spoils_no_other(shop: Shop) -> None:
    answers = await imported(
        shop,
        {"id": "a", "title": "a"},
        b"{broken",
        {"title": "nameless"},
        {"id": "b", "colour": "red"},
        {"id": "c", "price": -1},
        {"id": "d", "price": "many"},
        {"id": "e", "item_id": "e"},
        b"",
        [1],
        {"id": "\u0007"},
        {"id": True},
        {"id": "item-5", "price": 3},
        b'{"id": "f", "title": "\xff"}',
        b"[" * 40 + b"]" * 40,
        {"id": 6.0, "available": False},
    )
    invalid = "invalid_change"
    assert words(answers) == [
        *("inserted", "malformed_json", *[invalid] * 8, "replaced", "malformed_json", "malformed_json", "inserted")
    ]
    assert "colour" in answers[3]["problem"]["detail"]
    assert answers[3]["problem"]["request_id"].endswith("-3")
    assert (await item(shop, "a"))["title"] == "a"
    assert (await item(shop, "6"))["available"] is False


async def test_lines_of_one_item_build_on_each_other(shop: Shop) -> None:
    lines = [
        {"id": "new", "title": "first"},
        {"id": "new", "price": 3},
        {"id": "new", "price": "many"},
        {"id": "new", "price": 3},
        {"id": "new", "brand": "Tarnwell"},
        {"id": "new", "available": None},
    ]
    expected = ["inserted", "updated", "invalid_change", "unchanged", "updated", "invalid_change"]
    answers = await imported(shop, *lines, action="emplace")
    assert words(answers) == expected
    now = await item(shop, "new")
    assert (now["title"], now["price"], now["brand"], now["available"]) == ("first", 3.0, "Tarnwell", True)
    assert words(await imported(shop, lines[0], lines[0], action="create")) == ["item_exists", "item_exists"]
    twice = await imported(shop, {"id": "other"}, {"id": "other"}, action="create", dry_run="true")
    assert words(twice) == ["inserted", "item_exists"]


async def test_a_dry_run_knows_over_chunks_what_it_would_have_made(shop: Shop, small_chunks: None) -> None:
    lines = [{"id": "new"}, *[{"id": OLD}] * 4, {"id": "new"}, {"id": "other"}]
    assert words(await imported(shop, *lines, action="create", dry_run="true")) == [
        *("inserted", *["item_exists"] * 5, "inserted")
    ]
    assert (await shop.get("/items/new")).status_code == 404


async def test_a_deleted_item_is_new(shop: Shop) -> None:
    assert (await shop.client.delete(f"/items/{OLD}")).status_code == 200
    assert words(await imported(shop, {"id": OLD, "price": 2}, action="update")) == ["item_not_found"]
    assert words(await imported(shop, {"id": OLD, "price": 2}, action="create")) == ["inserted"]
    assert (await item(shop, OLD))["price"] == 2.0


async def test_a_list_is_read_too(shop: Shop) -> None:
    answer = await shop.client.post("/items/import", json=[{"id": "a"}, {"id": OLD, "price": "many"}, 3])
    lines = [orjson.loads(line) for line in answer.content.splitlines()]
    assert words(lines) == ["inserted", "invalid_change", "invalid_change"]
    assert_problem(await shop.client.post("/items/import", json=[]), 422, "invalid_change")
    broken = {"content": b'[{"id": 1}', "headers": {"content-type": "application/json"}}
    assert_problem(await shop.client.post("/items/import", **broken), 400, "malformed_json")


async def test_what_is_no_import_is_refused(shop: Shop) -> None:
    assert_problem(await shop.client.post("/items/import", content=b"", headers=NDJSON), 422, "invalid_change")
    line = {"content": b'{"id": 1}', "headers": NDJSON}
    assert_problem(await shop.client.post("/items/import?action=replace", **line), 422, "invalid_request")
    assert_problem(await shop.client.post("/items/import?batch_size=40", **line), 422, "invalid_request")
    csv = {"content": b"id\n1\n", "headers": {"content-type": "text/csv"}}
    assert_problem(await shop.client.post("/items/import", **csv), 415, "unsupported_media_type")


async def test_a_chunk_is_one_change(shop: Shop, small_chunks: None, changes: MemoryChanges) -> None:
    lines = [{"id": f"item-{at + 4}", "price": at + 100} for at in range(10)]
    assert words(await imported(shop, *lines, action="update")) == ["updated"] * 10
    assert changes.number == 3
    assert (await item(shop, "item-13"))["price"] == 109.0
    before = changes.number
    shown = await item(shop, "item-4")
    assert words(await imported(shop, shown, {"id": "item-4"}, action="emplace")) == ["unchanged", "unchanged"]
    assert changes.number == before


async def test_compressed_lines(shop: Shop) -> None:
    content = gzip.compress(b"\r\n".join(orjson.dumps({"id": f"item-{at + 4}"}) for at in range(12)))
    answer = await shop.client.post("/items/import", content=content, headers=NDJSON | {"content-encoding": "gzip"})
    assert len(answer.content.splitlines()) == 12
    assert_problem(
        await shop.client.post("/items/import", content=b"no", headers=NDJSON | {"content-encoding": "gzip"}),
        *(400, "malformed_encoding"),
    )


async def test_lines_after_the_most_are_told(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importing, "MAX_IMPORT_LINES", 3)
    answers = await imported(shop, *({"id": f"item-{at + 4}", "price": 99} for at in range(6)), action="update")
    assert words(answers) == ["updated", "updated", "updated", "too_many_items"]
    assert (await item(shop, "item-7"))["price"] != 99


async def test_without_redis_each_line_says_so(shop: Shop, changes: MemoryChanges) -> None:
    changes.away = True
    assert words(await imported(shop, {"id": "a"}, b"broken", {"id": "b"})) == [
        *("history_unavailable", "malformed_json", "history_unavailable")
    ]
    changes.away = False
    assert words(await imported(shop, {"id": "a"})) == ["inserted"]


async def test_an_outage_in_the_middle_leaves_the_lines_before_it(
    shop: Shop, small_chunks: None, changes: MemoryChanges, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = changes.write

    async def once(*arguments: Any, **options: Any) -> bool:
        if changes.number == 1:
            monkeypatch.setattr(changes, "write", write)
            raise HistoryUnavailable("slow")
        return await write(*arguments, **options)

    monkeypatch.setattr(changes, "write", once)
    lines = [{"id": f"item-{at + 4}", "price": 99} for at in range(10)]
    found = words(await imported(shop, *lines, action="update"))
    assert found == ["updated"] * 4 + ["history_unavailable"] * 4 + ["updated"] * 2


async def test_where_there_is_no_room_for_new_items_the_others_are_changed(shop: Shop) -> None:
    lines = [{"id": OLD, "price": 99}, *({"id": f"new-{at}"} for at in range(200)), {"id": "item-5", "price": 99}]
    for dry_run in ("true", "false"):
        found = words(await imported(shop, *lines, action="emplace", dry_run=dry_run))
        assert found[0] == found[-1] == "updated"
        assert found[1] == "inserted"
        assert found[-2] == "invalid_change"
        assert sorted(found[1:-1]) == found[1:-1]  # "inserted", "invalid_change": those that came first are in
    again = words(await imported(shop, *lines, action="emplace"))
    assert [word.replace("unchanged", "inserted") for word in again[1:-1]] == found[1:-1]


async def test_prices_leave_codes_and_the_engines_index_alone(shop: Shop, deployments: DeploymentManager) -> None:
    catalog = deployments.router.current.catalog
    before = catalog.searcher
    lines = [{"id": f"item-{at}", "price": at + 0.5, "available": at % 2 == 0} for at in range(6, 30)]
    assert set(words(await imported(shop, *lines, action="update"))) == {"updated"}
    after = catalog.searcher
    assert after.snapshot.number == before.snapshot.number + 1
    assert after.installed == before.installed
    assert after.snapshot.index is before.snapshot.index
    assert after.snapshot.codes_NL is before.snapshot.codes_NL
    assert after.prompts is before.prompts
    assert words(await imported(shop, {"id": "new"})) == ["inserted"]
    assert catalog.searcher.installed != before.installed


# --- a body that is still arriving -----------------------------------------------------------------------------------


async def pieces(*parts: bytes) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


async def test_lines_come_together_over_pieces() -> None:
    body = b'\n\n{"a": 1}\r\n  \n' + b"x" * 50 + b"\n" + b"y" * 11 + b'\n{"b": 2}'
    for size in (1, 2, 7, 1_000):
        parts = [body[start : start + size] for start in range(0, len(body), size)]
        lines = BodyLines(pieces(*parts), 11)
        found = [line async for chunk in chunked(lines.windows(), 1 << 20) for line in chunk]
        assert [(line.index, line.text) for line in found] == [
            *[(0, b'{"a": 1}'), (1, None), (2, b"y" * 11), (3, b'{"b": 2}')]
        ]
        assert lines.complete


async def test_chunks_are_bounded_in_bytes_too() -> None:
    lines = BodyLines(pieces(*[b"x" * 9 + b"\n"] * 100), 1 << 20)
    assert [len(chunk) async for chunk in chunked(lines.windows(), 40)] == [5] * 20


class Sender:
    """A client that sends its body in steps, and looks at the answer in between."""

    def __init__(self, shop: Shop) -> None:
        self.app = shop.client._transport.app  # type: ignore[attr-defined]
        self.parts: asyncio.Queue[Message] = asyncio.Queue()
        self.lines: list[dict[str, Any]] = []
        self.taking = asyncio.Event()
        self.taking.set()
        scope: dict[str, Any] = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": "POST",
            "path": "/items/import",
            "raw_path": b"/items/import",
            "query_string": b"",
            "headers": [(b"content-type", b"application/x-ndjson")],
            "client": ("127.0.0.1", 50_000),
            "server": ("shop", 80),
            "scheme": "http",
            "root_path": "",
        }
        self.scope = scope
        self.task = asyncio.create_task(self.app(scope, self.parts.get, self.send))

    async def send(self, message: Message) -> None:
        await self.taking.wait()
        self.lines += [orjson.loads(line) for line in message.get("body", b"").splitlines()]

    def give(self, first: int, last: int, *, more: bool = True) -> None:
        rows = [{"id": f"item-{at + 4}", "price": 100 + at} for at in range(first, last)]
        body = b"".join(orjson.dumps(row) + b"\n" for row in rows)
        self.parts.put_nowait({"type": "http.request", "body": body, "more_body": more})

    async def until(self, lines: int) -> None:
        await until(lambda: len(self.lines) >= lines)


async def price(shop: Shop, at: int) -> float:
    found: float = (await item(shop, f"item-{at + 4}"))["price"]
    return found


async def test_lines_are_answered_while_others_are_still_sent(shop: Shop, small_chunks: None) -> None:
    sender = Sender(shop)
    sender.give(0, 6)
    await sender.until(4)
    assert await price(shop, 3) == 103.0
    assert not sender.task.done()
    sender.give(6, 10, more=False)
    await asyncio.wait_for(sender.task, PATIENCE_SECONDS)
    assert [line["index"] for line in sender.lines] == list(range(10))


async def test_a_client_that_reads_nothing_before_it_has_sent_all_is_read(
    shop: Shop, small_chunks: None, changes: MemoryChanges
) -> None:
    sender = Sender(shop)
    sender.taking.clear()
    sender.give(0, 12)
    await until(lambda: changes.number >= 3)
    assert sender.lines == []
    sender.taking.set()
    sender.give(12, 13, more=False)
    await asyncio.wait_for(sender.task, PATIENCE_SECONDS)
    assert len(sender.lines) == 13


async def test_an_import_stops_with_its_client(shop: Shop, small_chunks: None, changes: MemoryChanges) -> None:
    sender = Sender(shop)
    sender.give(0, 6)
    await sender.until(4)
    sender.parts.put_nowait({"type": "http.disconnect"})
    await asyncio.wait_for(sender.task, PATIENCE_SECONDS)
    assert changes.number == 1
    assert await price(shop, 4) < 100


async def test_a_client_that_leaves_while_a_chunk_is_applied_has_it_kept_whole(
    shop: Shop, small_chunks: None, changes: MemoryChanges, monkeypatch: pytest.MonkeyPatch
) -> None:
    sender, write = Sender(shop), changes.write

    async def leave(*arguments: Any, **options: Any) -> bool:
        sender.scope["state"]["on_disconnect"]()
        await asyncio.sleep(0.05)
        return await write(*arguments, **options)

    monkeypatch.setattr(changes, "write", leave)
    sender.give(0, 10, more=False)
    await asyncio.wait_for(sender.task, PATIENCE_SECONDS)

    async def is_kept() -> bool:
        return await price(shop, 3) == 103.0

    await until(is_kept, pause=0.01)
    assert changes.number == 1
    assert await price(shop, 4) < 100
