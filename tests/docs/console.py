"""Blocks of a terminal: commands behind `$`, and what they print; `…` stands for anything.

What is printed keeps its promise where it has the promised shape (`keeps`), or more strictly where it has the promised
values too (`agrees`).
"""

import json
import re
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import orjson

ANYTHING = "…"
IN_OBJECT = re.compile(r"(?<=[{,])\s*…(?=\s*})")
IN_LIST = re.compile(r"(?<=[\[,])\s*…(?=\s*[\],])")


@dataclass(frozen=True, slots=True)
class Step:
    """One command and the output that is promised; empty where none is shown."""

    command: str
    output: str


def steps_of(text: str) -> Iterator[Step]:
    """Raises ValueError where a block does not begin with a command."""
    lines = text.splitlines()
    while lines:
        if not lines[0].startswith("$ "):
            raise ValueError(f"no command: {lines[0]!r} is not behind `$ `")
        command = lines.pop(0)[2:]
        while lines and not _is_whole(command):
            command += "\n" + lines.pop(0)
        output = []
        while lines and not lines[0].startswith("$ "):
            output.append(lines.pop(0))
        yield Step(command, "\n".join(output).strip())


def _is_whole(command: str) -> bool:
    try:
        shlex.split(command, comments=True)
    except ValueError:  # a quotation is open
        return False
    return not command.endswith("\\")


def promise_of(text: str) -> object:
    """Documented JSON, with `…` for whatever else an object or a list has. Raises ValueError."""
    return orjson.loads(_in_json(text))


def promises_of(text: str) -> list[object]:
    """As `promise_of`, of values one behind the other, such as lines."""
    return values_of(_in_json(text))


def values_of(text: str) -> list[object]:
    """The values of JSON one behind the other. Raises ValueError."""
    decoder, values, at = json.JSONDecoder(), [], 0
    while at < len(text.rstrip()):
        start = at + len(text[at:]) - len(text[at:].lstrip())
        value, at = decoder.raw_decode(text, start)
        values.append(value)
    return values


def _in_json(text: str) -> str:
    return IN_LIST.sub('"…"', IN_OBJECT.sub('"…":"…"', text))


def keeps(promised: object, found: object) -> bool:
    """Whether a value has the documented shape: the keys of objects and the kinds of values, not the values."""
    if promised == ANYTHING:
        return True
    if isinstance(promised, dict) and isinstance(found, dict):
        return _has_keys(promised, found) and all(
            keeps(promised[name], found[name]) for name in promised if name != ANYTHING
        )
    if isinstance(promised, list) and isinstance(found, list):
        shown = [value for value in promised if value != ANYTHING]
        enough = len(found) >= len(shown) if ANYTHING in promised else len(found) == len(shown)
        return enough and all(map(keeps, shown, found))
    return _kind(promised) == _kind(found)


def agrees(promised: object, found: object) -> bool:
    """Whether a value is the documented one; `…` also stands for any part of a text and for any elements of a list."""
    if promised == ANYTHING:
        return True
    if isinstance(promised, dict) and isinstance(found, dict):
        return _has_keys(promised, found) and all(
            agrees(promised[name], found[name]) for name in promised if name != ANYTHING
        )
    if isinstance(promised, list) and isinstance(found, list):
        return _same_elements(promised, found)
    if isinstance(promised, str) and isinstance(found, str):
        pattern = ".*".join(map(re.escape, promised.split(ANYTHING)))
        return re.fullmatch(pattern, found, re.DOTALL) is not None
    return _kind(promised) == _kind(found) and promised == found


def _has_keys(promised: dict[str, object], found: dict[str, object]) -> bool:
    """All that are promised, and no others unless `…` stands there."""
    wanted = promised.keys() - {ANYTHING}
    return wanted <= found.keys() if ANYTHING in promised else wanted == found.keys()


def _same_elements(promised: Sequence[object], found: Sequence[object]) -> bool:
    if not promised:
        return not found
    if promised[0] == ANYTHING:
        return any(_same_elements(promised[1:], found[skipped:]) for skipped in range(len(found) + 1))
    return bool(found) and agrees(promised[0], found[0]) and _same_elements(promised[1:], found[1:])


def _kind(value: object) -> str:
    if isinstance(value, bool) or value is None:
        return str(type(value))
    return "number" if isinstance(value, int | float) else str(type(value))
