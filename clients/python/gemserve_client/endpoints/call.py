"""One request as data: where it goes, whether it may be repeated, how its answer is read."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Generic, NoReturn, TypeVar
from urllib.parse import quote

from gemserve_client.errors import ApiError
from gemserve_client.values.decode import read
from gemserve_client.values.plain import plain, plain_id

__all__ = ["Call", "Repeat", "describe", "given", "quoted", "reading", "refuse"]


T = TypeVar("T")


class Repeat(Enum):
    """When a call may be made again after it failed."""

    HARMLESS = "a second time changes nothing"
    UNDONE = "only where it was surely not carried out"
    NEVER = "the caller wants to know about now"


def refuse(error: ApiError) -> NoReturn:
    raise error


@dataclass(frozen=True, slots=True)
class Call(Generic[T]):
    """One request.

    `read` makes what is returned of the answer's JSON, which is None for an empty body; `rescue` makes it of an error,
    or raises the error.
    """

    method: str
    path: str
    read: Callable[[Any], T]
    query: Mapping[str, Any] = field(default_factory=dict)
    body: object = None
    repeat: Repeat = Repeat.HARMLESS
    rescue: Callable[[ApiError], T] = refuse
    read_seconds: float | None = None  # instead of the client's own


def describe(method: Callable[..., Any], make: Callable[..., Any]) -> None:
    """Gives a method the name, docstring and signature of the function that makes its call."""
    functools.update_wrapper(method, make)
    parameters = inspect.signature(make).parameters.values()
    this = inspect.Parameter("self", inspect.Parameter.POSITIONAL_ONLY)
    vars(method)["__signature__"] = inspect.Signature([this, *parameters])


def reading(kind: type[T]) -> Callable[[Any], T]:
    return functools.partial(read, kind)


def given(**options: Any) -> dict[str, Any]:
    """Those options that are not None, as JSON has them."""
    return {name: plain(value, name) for name, value in options.items() if value is not None}


def quoted(name: str | int, what: str = "id") -> str:
    return quote(str(plain_id(name, what)), safe="")
