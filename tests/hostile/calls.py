"""Requests that are as much work as one request may ask for, and those that ask for more than they may."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator, Sequence
from urllib.parse import urlencode

import orjson

from tests.support.asgi import Call
from tests.support.large_shop import COLUMNS

__all__ = ["BODY", "hostile_calls"]

BODY = 2 << 20  # bytes, the most that a body may have
BATCH = 16 << 20  # bytes, the most that a batch may have
MARKS = "a" + "\u0301\u0316" * 499  # which have to be sorted; as long as a query may be
IDENTIFIER = "a" + "\u0301\u0316" * 127  # as long as an identifier may be
LONG_FILTER = " or ".join(f"title contains '{letter}q'" for letter in "abcdefgh") + "".join(
    f" and price != {number}" for number in range(24)
)
LONG_LIST = "id in (" + ",".join(f"'{number}'" for number in range(100, 680)) + ")"
NDJSON = "application/x-ndjson"
Named = tuple[str, Call]


def hostile_calls() -> Iterator[Named]:
    """Of each its name and the request."""
    yield from _shapes()
    yield from _queries()
    yield from _batches()
    yield from _writes()
    yield from _histories()


def _shapes() -> Iterator[Named]:
    """Bodies of every shape, as large as one may be, wherever a body is read."""
    name = "n" * (BODY - 100)
    bodies: dict[str, bytes] = {
        "a long name": orjson.dumps({name: 1}),
        "a long name of marks": orjson.dumps({("a" + "\u0301\u0316" * (BODY // 5))[: BODY // 2]: 1}),
        "a long string": orjson.dumps({"q": name}),
        "a long string of marks": orjson.dumps({"q": "a" + "\u0301\u0316" * (BODY // 5)}),
        "a long string of escapes": b'{"q": "' + rb"\u0041" * (BODY // 7) + b'"}',
        "a long string of backslashes": b'{"q": "' + rb"\\" * (BODY // 3) + b'"}',
        "quotes": b'"' * BODY,
        "strings of commas": b'["' + b'","'.join([b",,,,"] * (BODY // 8)) + b'"]',
        "unended strings of commas": b'","' * (BODY // 3),
        "brackets": b"[" * BODY,
        "lists in a list": b"[" + b",".join([b"[]"] * (BODY // 4)) + b"]",
        "objects in a list": b"[" + b",".join([b"{}"] * (BODY // 4)) + b"]",
        "objects with a name in a list": b"[" + b",".join([b'{"a":{}}'] * 9_000) + b"]",
        "chains in a list": b"[" + b",".join([b"[" * 30 + b"]" * 30] * 660) + b"]",
        "numbers": b"[" + b",".join([b"1"] * 99_000) + b"]",
        "too many numbers": b"[" + b",".join([b"1"] * (BODY // 3)) + b"]",
        "long numbers": b"[" + b",".join([b"1" * 300] * (BODY // 400)) + b"]",
        "one long number": b"1" * BODY,
        "names": orjson.dumps({f"name-{number}": number for number in range(90_000)}),
        "marked names": orjson.dumps({f"{number}{IDENTIFIER}": 1 for number in range(3_000)}),
        "too many names": orjson.dumps({f"name-{number}": number for number in range(110_000)}),
        "candidates": orjson.dumps({"q": "tent", "candidates": [None] * 90_000}),
        "visits": orjson.dumps({"q": "tent", "history": [{}] * 18_000}),
        "fields": orjson.dumps({"q": "tent", "fields": "," * (BODY - 100)}),
        "more fields": orjson.dumps({"q": "tent", "fields": [","] * 90_000}),
        "a long filter": orjson.dumps({"q": "tent", "filter": "(" * (BODY - 100)}),
        "a long cursor": orjson.dumps({"q": "tent", "cursor": "A" * (BODY - 100)}),
        "spaces": b" " * (BODY - 2) + b"{}",
        "no JSON": b"\xff" * BODY,
        "weights": orjson.dumps({"weights": {f"model-{number}": number for number in range(80_000)}}),
    }
    for path, method in PLACES.items():
        for shape in bodies if path == "/search" else EVERYWHERE:
            yield f"{method} {path}: {shape}", Call(method, path, body=bodies[shape])


EVERYWHERE = ("a long name", "names", "objects with a name in a list", "numbers", "brackets", "weights")
PLACES = {
    "/search": "POST",
    "/recommend": "POST",
    "/events": "POST",
    "/items": "POST",
    "/items/item-7": "PATCH",
    "/batch": "POST",
    "/users/ada/merge": "POST",
    "/admin/traffic": "PUT",
    "/admin/keys": "POST",
}


def _queries() -> Iterator[Named]:
    letters = random.Random(0)
    unknown = " ".join("".join(letters.choices("abcdefghijklmnopqrstuvwxyz", k=8)) for _ in range(110))
    known = [f"item-{number}" for number in range(1_000)]
    cases: dict[str, dict[str, object]] = {
        "the most items": {"q": "tent", "k": 200},
        "the most items explained": {"q": "tent", "k": 200, "explain": True},
        "unknown words": {"q": unknown},
        "one unknown word": {"q": "z" * 1_000},
        "marks": {"q": MARKS},
        "words of marks": {"q": " ".join(["a\u0301\u0316\u0344"] * 200)},
        "expanding letters": {"q": "\ufdfa" * 1_000},
        "a user of marks": {"q": "tent", "user": IDENTIFIER, "session": IDENTIFIER + "b"},
        "a long filter": {"q": "tent", "filter": LONG_FILTER},
        "a long list": {"q": "tent", "filter": LONG_LIST},
        "brackets": {"q": "tent", "filter": "(" * 60 + "price < 3" + ")" * 60},
        "not": {"q": "tent", "filter": "not " * 60 + "price < 3"},
        "a filter of nothing but brackets": {"q": "tent", "filter": "(" * 4_000},
        "candidates": {"q": "tent", "candidates": known, "k": 200},
        "candidates and a filter": {
            "q": "tent",
            "candidates": known,
            "k": 200,
            "filter": LONG_FILTER + " or price > 1",
        },
        "unknown candidates": {"q": "tent", "candidates": [f"{n}{IDENTIFIER}"[:256] for n in range(1_000)]},
        "a history of marks": {"q": "tent", "history": [{"item_id": IDENTIFIER, "query": MARKS}] * 200},
        "a history to leave out": {"q": "tent", "history": known[:200], "exclude_seen": True, "k": 200},
        "many fields": {"q": "tent", "k": 200, "fields": [f"column_{n}" for n in range(COLUMNS)] * 10},
        "all facets": {"q": "tent", "facets": ["*", "title", "item_id"], "max_facet_values": 100, "total": True},
        "facets of many conditions": {
            "q": "tent",
            "facets": ["title", "price", "brand"] * 60,
            "max_facet_values": 100,
            "disjunctive_facets": True,
            "filter": " and ".join(f"(price > {n} or brand = 'Alpina')" for n in range(16)),
        },
        "many wrong facets": {"q": "tent", "facets": [f"colum_{n}" for n in range(200)]},
        "an order of all items": {"q": "tent", "sort_by": "brand:desc,title:asc,price:desc", "k": 200},
        "an order of equal items": {"q": "tent", "sort_by": "brand,available,column_3", "k": 200},
        "a long order": {"q": "tent", "sort_by": "x:" * 500},
        "an order of many columns": {"q": "tent", "sort_by": "," * 1_000},
        "everything": {"q": "*", "k": 200, "user": "ada"},
        "everything in order": {"q": "*", "sort_by": "title:desc", "facets": "*", "k": 200},
        "an order of candidates": {"q": "tent", "candidates": known, "sort_by": "title", "k": 200},
        "many wrong fields": {"q": "tent", "fields": [f"colum_{n}" for n in range(200)]},
    }
    for name, body in cases.items():
        yield f"search: {name}", Call("POST", "/search", body=orjson.dumps(body))
    yield "a long URL", Call("GET", "/search", "&".join([f"q{n}=1" for n in range(2_000)]))
    yield "repeated parameters", Call("GET", "/search", "q=tent&q=" * 1_500)
    yield "a long path", Call("GET", "/items/" + "a" * 15_000)
    yield "marks in a URL", Call("GET", "/search", urlencode({"q": MARKS}))
    for sort_by in ("title:asc,id:desc", "column_1,price:desc", "brand"):
        yield f"a shelf by {sort_by}", Call("GET", "/items", urlencode({"sort_by": sort_by, "k": 200, "facets": "*"}))
        recommend = {"history": known[:200], "sort_by": sort_by, "k": 200, "facets": "title,brand,price"}
        yield f"recommendations by {sort_by}", Call("POST", "/recommend", body=orjson.dumps(recommend))
    yield "the largest page of similar items", Call("GET", "/items/item-7/similar", "k=200")
    for path in ("/popular", "/trending", "/latest", "/items/item-7/bought-together"):
        asked = {"k": 200, "facets": "*", "user": "ada", "exclude_seen": "true", "filter": LONG_FILTER}
        yield f"the shelf {path}", Call("GET", path, urlencode(asked))
        yield f"all of the shelf {path}", Call("GET", path, "k=200&sort_by=title")
    yield "items like a basket", Call("POST", "/similar", body=orjson.dumps({"items": known[:100], "k": 200}))


def _batches() -> Iterator[Named]:
    small = [{"kind": "search", "q": "tent", "k": 1}] * 400
    lines: dict[str, Sequence[bytes]] = {
        "many queries": [orjson.dumps(line) for line in small],
        "wrong lines": [b"{}"] * 10_000,
        "no JSON": [b"x"] * 10_000,
        "too many lines": [b"{}"] * 200_000,
        "marks": [orjson.dumps({"kind": "search", "q": MARKS})] * 300,
        "long lines": [orjson.dumps({"kind": "search", "q": "x" * (BODY - 100)})] * 7,
        "lines of many values": [b"[" + b",".join([b"[]"] * 19_000) + b"]"] * 20,
        "long ids": [orjson.dumps({"kind": "x", "id": "i" * (BODY - 100)})] * 7,
        "many names": [orjson.dumps({"kind": "search", **{f"name-{n}": 1 for n in range(90_000)}})] * 4,
    }
    for name, rows in lines.items():
        yield f"batch of lines: {name}", Call("POST", "/batch", body=b"\n".join(rows), content_type=NDJSON)
        yield f"batch as a list: {name}", Call("POST", "/batch", body=b"[" + b",".join(rows) + b"]")
    yield "batch of blank lines", Call("POST", "/batch", body=b"\n" * BATCH, content_type=NDJSON)
    yield "batch of brackets", Call("POST", "/batch", body=b"[" * BATCH)


def _writes() -> Iterator[Named]:
    now = int(time.time() * 1000)
    events: dict[str, list[object]] = {
        "long strings": [
            {"user_id": "bo", "item_id": IDENTIFIER, "type": "view", "event_id": f"{n}", "query": MARKS}
            for n in range(700)
        ],
        "long strings without ids": [
            {"user_id": "bo", "item_id": IDENTIFIER, "type": "view", "query": MARKS} for _ in range(700)
        ],
        "wrong ones": [{"user_id": [], "item_id": {}, "type": n} for n in range(1_000)],
        "no objects": list(range(1_000)),
        "times": [
            {"user_id": "ada", "item_id": f"item-{n}", "type": "view", "timestamp": now - n, "query": "tent"}
            for n in range(1_000)
        ],
    }
    for name, rows in events.items():
        yield f"events: {name}", Call("POST", "/events", body=orjson.dumps(rows))
    described = {"title": "tent " * 10, "description": "long " * 50, "brand": "Alpina", "price": 1.0}
    items: dict[str, list[dict[str, object]]] = {
        "new ones": [{"id": f"new-{n}", **described} for n in range(1_000)],
        "long texts": [{"id": f"item-{n}", "title": MARKS[:900]} for n in range(1_000)],
        "unknown columns": [{"id": f"new-{n}", **{f"colum_{c}": 1 for c in range(50)}} for n in range(1_000)],
        "known ones": [{"id": f"item-{n}", **described} for n in range(1_000)],
        "unknown words": [{"id": f"item-{n}", "title": f"{n:0100b}"} for n in range(1_000)],
    }
    for name, written in items.items():
        yield f"items: {name}", Call("POST", "/items", body=orjson.dumps(written))
    yield (
        "an item of many columns",
        Call("PUT", "/items/item-9", body=orjson.dumps({f"c{n}": 1 for n in range(90_000)})),
    )
    yield "an item with a long text", Call("PATCH", "/items/item-9", body=orjson.dumps({"title": MARKS * 500}))
    yield "one item less", Call("DELETE", "/items/item-11")


def _histories() -> Iterator[Named]:
    yield "the longest history", Call("GET", "/users/ada/history", "limit=1000")
    yield "a history of long strings", Call("GET", "/users/bo/history", "limit=1000")
    yield "a recommendation from a long history", Call("GET", "/recommend", "user=bo&session=ada&k=200")
    yield "what a user did is erased", Call("DELETE", "/users/ada")
    yield "metrics", Call("GET", "/metrics")
    yield "the models", Call("GET", "/admin/models")
    yield "the document of the API", Call("GET", "/openapi.json")
