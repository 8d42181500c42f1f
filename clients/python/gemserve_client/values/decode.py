"""JSON into the dataclasses of `responses`, by their annotations, with a message that names what does not fit."""

from __future__ import annotations

import dataclasses
import functools
import json
import types
from collections.abc import Callable, Mapping
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from gemserve_client.errors import UnexpectedAnswer

__all__ = ["parse", "read", "read_list"]

T = TypeVar("T")
Reader = Callable[[Any, str], Any]
REST = ("fields", "extra")  # where members go that have no attribute of their own


def parse(text: bytes | str) -> Any:
    """Raises UnexpectedAnswer for what is no JSON."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UnexpectedAnswer(f"the answer is no JSON: {error}; is this the address of a gemserve?") from error


def read(kind: Callable[..., T], value: Any, where: str = "the answer") -> T:
    """An instance of `kind`, a dataclass. Raises UnexpectedAnswer where something lacks or is of another type."""
    if not isinstance(value, dict):
        raise UnexpectedAnswer(f"{where} should be an object, and is {type(value).__name__}")
    readers, required, rest = _plan(kind)
    lacking = required - value.keys()
    if lacking:
        raise UnexpectedAnswer(f"{where} has no {', '.join(sorted(lacking))}: is the server older than the client?")
    known = {name: readers[name](value[name], f"{where}.{name}") for name in value.keys() & readers.keys()}
    others = {name: member for name, member in value.items() if name not in readers}
    return kind(**known, **({rest: others} if rest else {}))


def read_list(kind: Callable[..., T], value: Any) -> tuple[T, ...]:
    """Instances of `kind`; raises as `read` does."""
    if not isinstance(value, list):
        raise UnexpectedAnswer(f"the answer should be a list, and is {type(value).__name__}")
    return tuple(read(kind, element, f"the answer[{i}]") for i, element in enumerate(value))


@functools.cache
def _plan(kind: Any) -> tuple[dict[str, Reader], set[str], str | None]:
    """How to read each attribute, which must be there, and where the rest goes."""
    hints = get_type_hints(kind)
    fields = {field.name: field for field in dataclasses.fields(kind)}
    rest = next((name for name in REST if name in fields), None)
    readers = {name: _reader(hints[name]) for name in fields if name not in REST}
    nothing = dataclasses.MISSING
    required = {n for n in readers if fields[n].default is nothing and fields[n].default_factory is nothing}
    return readers, required, rest


def _reader(hint: Any) -> Reader:
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in {Union, types.UnionType}:
        kinds = [argument for argument in arguments if argument is not types.NoneType]
        if len(kinds) < len(arguments):
            return _optional(Union[tuple(kinds)])  # noqa: UP007 - of as many as there are
        return _plain((int, *kinds) if float in kinds else tuple(kinds))
    if origin is tuple:
        return _list(_reader(arguments[0]))
    if origin is Mapping:
        return _object(_reader(arguments[1]))
    if isinstance(hint, type) and dataclasses.is_dataclass(hint):
        return lambda value, where: read(hint, value, where)
    return _plain((int, float) if hint is float else hint)


def _optional(hint: Any) -> Reader:
    inner = _reader(hint)
    return lambda value, where: None if value is None else inner(value, where)


def _list(inner: Reader) -> Reader:
    def read_list(value: Any, where: str) -> tuple[Any, ...]:
        if not isinstance(value, list):
            raise UnexpectedAnswer(f"{where} should be a list, and is {type(value).__name__}")
        return tuple(inner(element, f"{where}[{i}]") for i, element in enumerate(value))

    return read_list


def _object(inner: Reader) -> Reader:
    def read_object(value: Any, where: str) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise UnexpectedAnswer(f"{where} should be an object, and is {type(value).__name__}")
        return {name: inner(member, f"{where}.{name}") for name, member in value.items()}

    return read_object


def _plain(kind: Any) -> Reader:
    def read_plain(value: Any, where: str) -> Any:
        if not isinstance(value, kind):
            raise UnexpectedAnswer(f"{where} is of an unexpected type, {type(value).__name__}")
        return value

    return read_plain
