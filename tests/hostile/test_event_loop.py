"""No request holds the event loop, which all others wait for."""

import asyncio
import gc
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from pathlib import Path

import orjson
import pytest
from fastapi import FastAPI

from catalog.priors.words import SynonymSet
from server.core.process import FROZEN, gc_freeze
from server.core.settings import Settings
from server.serving.sync.override_sync import MAX_BYTES, MAX_OVERRIDES
from server.serving.sync.synonym_sync import MAX_PHRASES
from server.storage.overrides import Include, Override, Rule
from server.storage.protocol import StoredOverrides, StoredSynonyms
from tests.hostile.calls import hostile_calls
from tests.support.asgi import Call, send
from tests.support.event_loop import Turns, watched_turns
from tests.support.large_shop import make_large_deployments, make_words
from tests.support.memory_app import create_memory_app
from tests.support.memory_shared import MemoryOverrides, MemorySynonyms
from tests.support.small_shop import NAMES, make_deployments, patient_settings, publish_names
from tests.support.waiting import until

pytestmark = pytest.mark.slow  # a bound in seconds, which wants a machine of its own

LONGEST_TURN = 0.05  # seconds that the loop's thread works
LONGEST_BLOCKED = 0.1  # seconds that it waits for another, in C code; in one turn it may have to wait three times
ATTEMPTS = 3

Start = Callable[[], AbstractAsyncContextManager[FastAPI]]  # a server that was just started
StartSharing = Callable[..., AbstractAsyncContextManager[FastAPI]]  # with what it shares with other servers
Held = AsyncIterator[tuple[str, Turns]]  # of each call its name, and how long it kept the loop


async def assert_none_holds(start: Start, ask: Callable[[FastAPI], Held]) -> None:
    """What held the loop is asked again of a server that was just started, and with it all that comes before it: a
    machine that reads memory back or runs something else holds it now and then, a request does each time."""
    held: dict[str, Turns] | None = None
    for _ in range(ATTEMPTS):
        async with start() as app, frozen():
            now = {name: turns async for name, turns in ask(app) if is_held(turns)}
        held = now if held is None else {name: turns for name, turns in now.items() if name in held}
        if not held:
            return
    pytest.fail(f"in each of {ATTEMPTS} servers the loop was held by {held}")


def is_held(turns: Turns) -> bool:
    return turns.longest >= LONGEST_TURN or turns.longest_blocked >= LONGEST_BLOCKED


@asynccontextmanager
async def frozen() -> AsyncIterator[None]:
    """As a server's process is: beside the engine's modules a full collection stops everybody for most of a second."""
    gc_freeze()
    try:
        yield
    finally:
        FROZEN.clear()
        gc.unfreeze()


@pytest.fixture
def start_large(tmp_path: Path) -> Start:
    publish_names(tmp_path, "2025-11-20-a", "2025-11-21-a")
    return lambda: started(create_memory_app(Settings(bundles=tmp_path, open_admin=True), make_large_deployments))


@asynccontextmanager
async def started(app: FastAPI) -> AsyncIterator[FastAPI]:
    async with app.router.lifespan_context(app):
        yield app


@pytest.fixture
def start_small(tmp_path: Path) -> StartSharing:
    """A guided shop, whose bundle is published once."""
    settings = patient_settings(tmp_path).model_copy(update={"open_admin": True})
    return lambda **shared: started(create_memory_app(settings, make_deployments, **shared))


async def test_what_holds_the_loop_each_time_is_told_and_what_held_it_once_is_not(start_small: Start) -> None:
    times = 0

    async def ask(_: FastAPI) -> Held:
        nonlocal times
        times += 1
        yield "always", Turns(longest=LONGEST_TURN)
        yield "once", Turns(longest_blocked=LONGEST_BLOCKED if times == 1 else 0.0)

    with pytest.raises(pytest.fail.Exception) as failure:
        await assert_none_holds(start_small, ask)
    assert times == ATTEMPTS
    assert "always" in str(failure.value)
    assert "once" not in str(failure.value)


async def test_no_request_holds_the_event_loop(start_large: Start) -> None:
    async def ask(app: FastAPI) -> Held:
        for name, call in hostile_calls():
            async with watched_turns() as turns:
                reply = await send(app, call)
            assert 200 <= reply.status < 500, f"{name}: {reply.body[:200]!r}"
            yield name, turns

    await assert_none_holds(start_large, ask)


async def test_no_page_holds_the_event_loop(start_large: Start) -> None:
    async def ask(app: FastAPI) -> Held:
        cursor, pages = None, 0
        while pages == 0 or cursor is not None:
            body = orjson.dumps({"q": "tent", "k": 200, "cursor": cursor})
            async with watched_turns() as turns:
                reply = await send(app, Call("POST", "/search", body=body))
            assert reply.status == 200
            yield f"page {pages}", turns
            cursor, pages = orjson.loads(reply.body)["next_cursor"], pages + 1
        assert pages == 5

    await assert_none_holds(start_large, ask)


async def test_no_change_of_models_holds_the_event_loop(start_large: Start) -> None:
    """While queries are answered."""
    query = Call("POST", "/search", body=b'{"q": "tent"}')
    changes = [
        Call("PUT", "/admin/traffic", body=b'{"weights": {"2025-11-20-a": 1, "2025-11-21-a": 1}}'),
        Call("DELETE", "/admin/traffic"),
        Call("POST", "/admin/models/2025-11-21-a/activate"),
        Call("POST", "/admin/models/rollback"),
    ]

    async def ask(app: FastAPI) -> Held:
        for change in changes:
            async with watched_turns() as turns:
                replies = await asyncio.gather(send(app, change), *(send(app, query) for _ in range(4)))
            assert [reply.status for reply in replies] == [200] * 5, change.path
            yield f"{change.method} {change.path}", replace(turns, longest_blocked=0.0)

    await assert_none_holds(start_large, ask)


@pytest.mark.parametrize(
    "text", ["tent rope " * 3_000, "e\u0301 " * 15_000, "a1" * 15_000], ids=["words", "marks", "digits"]
)
async def test_telling_which_words_long_texts_have_does_not_hold_the_event_loop(start_small: Start, text: str) -> None:
    """In a guided shop, all of whose items have as much text as is looked at."""
    rows = [{"id": name, "title": text, "brand": text, "categories": [text] * 3, "description": text} for name in NAMES]
    query = orjson.dumps({"q": text[:900], "k": 200, "explain": True})

    async def ask(app: FastAPI) -> Held:
        for row in rows:
            assert (await send(app, Call("POST", "/items", body=orjson.dumps([row])))).status == 200
        for _ in range(3):  # the first is slow
            async with watched_turns() as turns:
                reply = await send(app, Call("POST", "/search", body=query))
            assert reply.status == 200
        assert any(item["matched"] for item in orjson.loads(reply.body)["items"])
        yield "the last", turns

    await assert_none_holds(start_small, ask)


async def followed(app: FastAPI, listed: Call, entries: int) -> None:
    """Returns when so many are listed."""

    async def are_listed() -> bool:
        return bool(orjson.loads((await send(app, listed)).body)["total"] == entries)

    await until(are_listed, pause=0.05)


async def asked(app: FastAPI, calls: Sequence[Call]) -> Held:
    """Each of these calls, one after the other, is answered."""
    for place, call in enumerate(calls):
        async with watched_turns() as turns:
            reply = await send(app, call)
        named = f"{place}: {call.method} {call.path} {call.body[:40]!r}"
        assert reply.status == 200, f"{named}: {reply.body[:200]!r}"
        yield named, turns


async def test_ten_thousand_synonyms_do_not_hold_the_event_loop(start_small: StartSharing) -> None:
    """In a guided shop: they are written, listed, followed and read in queries of as many of them as there is room."""
    synonyms = MemorySynonyms()
    words = [f"{word} {place}" for place, word in enumerate(make_words(MAX_PHRASES - 10))]
    sets = {f"set {at}": SynonymSet(f"set {at}", tuple(words[at : at + 5])) for at in range(0, len(words), 5)}
    put = Call("PUT", "/synonyms/more", body=orjson.dumps({"synonyms": ["tent", "bivouac", "tipi", "yurt", "wigwam"]}))
    listed = Call("GET", "/synonyms", "limit=1")
    queries = ["tent", " ".join(words[:50]), "tent " * 190, " ".join(words[::700])]
    calls = [
        put,
        *(Call("POST", "/search", body=orjson.dumps({"q": query[:999], "k": 30})) for query in queries),
        Call("GET", "/synonyms", "limit=1000"),
        Call("GET", "/synonyms/set 100"),
        Call("DELETE", "/synonyms/more"),
        put,
    ]

    def start() -> AbstractAsyncContextManager[FastAPI]:
        synonyms.stored = StoredSynonyms(0, {})
        return start_small(synonyms=synonyms)

    async def ask(app: FastAPI) -> Held:
        for call in calls[:2]:  # so that the language of the words is known
            assert (await send(app, call)).status == 200
        async with watched_turns() as turns:
            synonyms.stored = StoredSynonyms(9, sets)  # another server has written them
            await followed(app, listed, len(sets))
        yield "taken up", turns
        async for call in asked(app, calls):
            yield call

    await assert_none_holds(start, ask)


async def test_ten_thousand_overrides_do_not_hold_the_event_loop(start_small: StartSharing) -> None:
    """As large as they may be: they are written, listed and followed, and thousands are for one query."""
    overrides = MemoryOverrides()
    words = make_words(MAX_OVERRIDES)
    includes = tuple(Include(name, 2 * place + 1) for place, name in enumerate(NAMES[:8]))
    many = {
        f"rule {at:05}": Override(
            f"rule {at:05}",
            Rule("tent", "contains") if at % 4 == 0 else Rule(f"{words[at]} {words[-at]}", "contains", None, ("sale",)),
            includes[at % 4 : 6],
            filter_by=f"price != {at} and price > 0",
        )
        for at in range(MAX_OVERRIDES - 1)
    }
    assert MAX_BYTES / 2 < len(orjson.dumps(list(many.values()))) < MAX_BYTES
    body = orjson.dumps({"rule": {"query": "tent"}, "excludes": ["item-9"]})
    put = Call("PUT", "/overrides/more", body=body)
    listed = Call("GET", "/overrides", "limit=1")
    queries = ["tent", "tent " * 190, " ".join(words[:90]), "rope"]
    calls = [
        put,
        *(Call("POST", "/search", body=orjson.dumps({"q": query[:999], "k": 30})) for query in queries),
        Call("GET", "/overrides", "limit=1000"),
        Call("GET", "/overrides/rule 00100"),
        Call("DELETE", "/overrides/more"),
        put,
    ]

    def start() -> AbstractAsyncContextManager[FastAPI]:
        overrides.stored = StoredOverrides(0, {})
        return start_small(overrides=overrides)

    async def ask(app: FastAPI) -> Held:
        for call in calls[:2]:
            assert (await send(app, call)).status == 200
        async with watched_turns() as turns:
            overrides.stored = StoredOverrides(9, many)  # another server has written them
            await followed(app, listed, len(many))
        yield "taken up", turns
        async for call in asked(app, calls):
            yield call

    await assert_none_holds(start, ask)
