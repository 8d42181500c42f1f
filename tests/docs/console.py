"""Blocks of a terminal: commands behind `$`, and what they print; `…` stands for anything."""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass

import orjson

ANYTHING = "…"
IN_OBJECT = re.compile(r"(?<=[{,])\s*…(?=\s*})")
IN_LIST = re.compile(r"(?<=[\[,])\s*…(?=\s*\])")


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
    return orjson.loads(IN_LIST.sub('"…"', IN_OBJECT.sub('"…":"…"', text)))


def keeps(promised: object, found: object) -> bool:
    """Whether a value has the documented shape: the keys of objects and the kinds of values, not the values."""
    if promised == ANYTHING:
        return True
    if isinstance(promised, dict) and isinstance(found, dict):
        more = ANYTHING in promised
        wanted = promised.keys() - {ANYTHING}
        return (wanted <= found.keys() if more else wanted == found.keys()) and all(
            keeps(promised[name], found[name]) for name in wanted
        )
    if isinstance(promised, list) and isinstance(found, list):
        shown = [value for value in promised if value != ANYTHING]
        enough = len(found) >= len(shown) if ANYTHING in promised else len(found) == len(shown)
        return enough and all(map(keeps, shown, found))
    return _kind(promised) == _kind(found)


def _kind(value: object) -> str:
    if isinstance(value, bool) or value is None:
        return str(type(value))
    return "number" if isinstance(value, int | float) else str(type(value))
