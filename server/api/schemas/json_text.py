"""JSON that a client sent, parsed and split without keeping the event loop from other requests.

orjson parses 2 MB of the usual JSON in some milliseconds, but 2 MB of nothing but brackets in a quarter of a second,
during which no other thread runs. So the values of a text are counted before it is parsed, and a large text is parsed
in a thread, where it is also converted to what the route needs.

A thread that waits for the interpreter's lock asks for it after five milliseconds, and counts them anew whenever the
lock was free for a moment and taken again before it woke. Texts that take four milliseconds each, one after the other,
would so keep the event loop waiting for all of them: the parser's thread sleeps a moment before each (`HANDOVER`).
"""

from __future__ import annotations

import asyncio
import io
import re
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

import orjson

from server.core import errors
from server.core.errors import Problem, ProblemKind

__all__ = [
    "BYTE_ORDER_MARK",
    "HANDOVER",
    "ITEMS",
    "LARGE_BYTES",
    "MAX_CONTAINERS",
    "MAX_DEPTH",
    "MAX_VALUES",
    "OVERRIDES",
    "PARSER",
    "SYNONYMS",
    "load_json",
    "parse_json",
    "split_array",
    "split_lines",
]

Value = TypeVar("Value")

MAX_DEPTH = 32  # lists and objects in each other
MAX_CONTAINERS = 20_000  # lists and objects of one text, which take 10 ms: a thousand items have some thousands
MAX_VALUES = 100_000  # of one text, which take 20 ms
LARGE_BYTES = 8_192  # of a text that is read in a thread
PARSER = ThreadPoolExecutor(1, "json")  # one: several would take the interpreter's lock in turns
HANDOVER = 1e-4  # seconds, long enough that a thread which waits for the interpreter's lock wakes and takes it
WINDOW = 1 << 16  # bytes that one call of C code looks through

BYTE_ORDER_MARK = b"\xef\xbb\xbf"  # which editors of Windows write, and RFC 8259 lets a reader pass over
STRUCTURE = re.compile(rb'[\[\]{},"]')
BACKSLASH = ord("\\")


@dataclass(frozen=True, slots=True)
class Elements:
    """What the elements of a list are called, and the problem where there are too many."""

    one: str
    many: str
    too_many: ProblemKind


QUERIES = Elements("query", "queries", errors.TOO_MANY_QUESTIONS)
OVERRIDES = Elements("override", "overrides", errors.TOO_MANY_ITEMS)
SYNONYMS = Elements("set of synonyms", "sets of synonyms", errors.TOO_MANY_ITEMS)
ITEMS = Elements("item", "items", errors.TOO_MANY_ITEMS)


async def load_json(text: bytes, what: str, convert: Callable[[object], Value]) -> Value:
    """`convert` of the value, which is called in a thread where the text is large. Raises as `parse_json`."""
    text = text.removeprefix(BYTE_ORDER_MARK)

    def load() -> Value:
        return convert(parse_json(text, what))

    def load_in_thread() -> Value:
        time.sleep(HANDOVER)
        return load()

    if len(text) < LARGE_BYTES:
        return load()
    return await asyncio.get_running_loop().run_in_executor(PARSER, load_in_thread)


def parse_json(text: bytes, what: str) -> object:
    """The value. Raises Problem where `what` is no JSON, or JSON that no later reader should be handed."""
    _check_values(text, what)
    try:
        value: object = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise Problem(errors.MALFORMED_JSON, f"{what} is not valid JSON: {error}") from error
    if _is_deep(value):
        raise _too_deep(what)
    return value


def split_lines(body: bytes, most: int, max_bytes: int) -> list[bytes]:
    """The lines that are not blank. Raises Problem where there are more than `most`, or one has over `max_bytes`."""
    lines = (line.strip() for line in io.BytesIO(body.removeprefix(BYTE_ORDER_MARK)))
    return _collected((line for line in lines if line), most, max_bytes, QUERIES)


def split_array(body: bytes, most: int, max_bytes: int, elements: Elements = QUERIES) -> list[bytes]:
    """The texts of a JSON list's elements; of another value, its own text.

    Raises Problem where the body is no JSON, as `parse_json` does of an element, and as `split_lines`.
    """
    body = body.removeprefix(BYTE_ORDER_MARK).strip()
    found = _elements(body, elements.one) if body.startswith(b"[") else [body]
    texts = _collected(found, most, max_bytes, elements)
    for text in texts:  # not all at once, which would keep other threads waiting
        parse_json(text, "the body")
    return texts


def _collected(texts: Iterable[bytes], most: int, max_bytes: int, elements: Elements) -> list[bytes]:
    kept: list[bytes] = []
    for text in texts:
        if len(text) > max_bytes:
            raise _too_large(f"{elements.one} {len(kept)}", max_bytes)
        if len(kept) == most:
            raise Problem(elements.too_many, f"over {most:,} {elements.many} came: send 1 to {most:,} at once")
        kept.append(text)
    return kept


def _elements(body: bytes, what: str) -> Iterator[bytes]:
    depth, begin, count, containers = 0, 1, 0, 0
    for place in _structure(body):
        mark = body[place : place + 1]
        if mark in b"[{":
            depth, containers = depth + 1, containers + 1
            if depth > MAX_DEPTH:
                raise _too_deep("the body")
            if containers > MAX_CONTAINERS + 1:
                raise _too_many(f"{what} {count}")
            continue
        if mark in b"]}":
            depth -= 1
        if depth == 0 or (mark == b"," and depth == 1):
            element = body[begin:place].strip()
            if depth == 0 and not element and count == 0:
                break
            if not element:
                raise _malformed_list("an element is missing")
            yield element
            begin, count, containers = place + 1, count + 1, 0
        if depth == 0:
            break
    else:
        raise _malformed_list("it ends too early")
    if place + 1 < len(body):
        raise _malformed_list("something follows its end")


def _structure(text: bytes) -> Iterator[int]:
    """The places of brackets and commas outside of strings. Ends early where a string does not end."""
    at = 0
    while at < len(text):
        found = STRUCTURE.search(text, at, at + WINDOW)
        if found is None:
            at += WINDOW
        elif found[0] == b'"':
            at = _end_of_string(text, found.end())
        else:
            yield found.start()
            at = found.end()


def _end_of_string(text: bytes, at: int) -> int:
    """The place behind the quote that ends a string which has begun before `at`."""
    while (quote := text.find(b'"', at)) >= 0:
        before = quote
        while before > at and text[before - 1] == BACKSLASH:
            before -= 1
        at = quote + 1
        if (quote - before) % 2 == 0:
            return at
    return len(text)


def _check_values(text: bytes, what: str) -> None:
    """Raises Problem for a text of too many values. Those in strings are told apart only where it matters."""
    containers = text.count(b"[") + text.count(b"{")
    if containers <= MAX_CONTAINERS and containers + text.count(b",") <= MAX_VALUES:
        return
    containers = values = depth = 0
    for place in _structure(text):
        containers += text[place] in b"[{"
        values += text[place] in b"[{,"
        depth += (text[place] in b"[{") - (text[place] in b"]}")
        if depth > MAX_DEPTH:
            raise _too_deep(what)
        if containers > MAX_CONTAINERS or values > MAX_VALUES:
            raise _too_many(what)


def _is_deep(value: object) -> bool:
    """Whether lists and objects lie too deep in each other; found level by level, as recursion is what they break."""
    level: Sequence[object] = [value]
    for _ in range(MAX_DEPTH):
        inner = [part for outer in level for part in _parts(outer) if isinstance(part, dict | list)]
        if not inner:
            return False
        level = inner
    return True


def _parts(value: object) -> Iterable[Any]:
    return value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()


def _too_many(what: str) -> Problem:
    detail = f"{what} has over {MAX_CONTAINERS:,} lists and objects, or {MAX_VALUES:,} values: send less at once"
    return Problem(errors.BODY_TOO_LARGE, detail)


def _too_deep(what: str) -> Problem:
    return Problem(errors.MALFORMED_JSON, f"{what} has more than {MAX_DEPTH} lists and objects in each other")


def _too_large(what: str, max_bytes: int) -> Problem:
    return Problem(errors.BODY_TOO_LARGE, f"{what} is over {max_bytes:,} bytes: send less at once")


def _malformed_list(reason: str) -> Problem:
    return Problem(errors.MALFORMED_JSON, f"the body is not a valid JSON list: {reason}")
