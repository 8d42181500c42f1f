"""Values as JSON has them, made of what Python programs hold: numpy's and pandas' values, sets, decimals, times.

What has one clear meaning is converted; anything else raises InvalidArgument, which names the value's place. Neither
numpy nor pandas is imported: their values are known by what they can do.
"""

from __future__ import annotations

import dataclasses
import datetime
import math
import numbers
import uuid
from collections import UserString
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from decimal import Decimal
from enum import Enum
from itertools import islice
from typing import Any, NoReturn

from gemserve_client.errors import GemserveError, InvalidArgument

__all__ = ["plain", "plain_id", "plain_ids", "plain_list", "plain_record", "plain_time"]

MAX_ELEMENTS = 1_000_000  # of one list, so that an endless generator ends
MAX_DEPTH = 32
MAX_EXACT = 2.0**53
DOUBLE_BYTES = 8
EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
MILLISECOND = datetime.timedelta(milliseconds=1)


def plain(value: Any, where: str) -> Any:
    """`value` as None, bool, int, float, str, list or dict. `where`: what messages call it."""
    return _plain(value, where, 0)


def plain_id(value: Any, where: str) -> Any:
    """An id: text, or a whole number of whatever type. One that is too large for JSON's readers becomes text."""
    is_time = isinstance(value, datetime.date | datetime.time) or _is_numpy_time(value)
    found = plain(value, where)
    if isinstance(found, float) and found.is_integer() and abs(found) < MAX_EXACT:
        found = int(found)
    if is_time or isinstance(found, bool) or not isinstance(found, str | int):
        raise InvalidArgument(f"{where} is no id, {_shown(value)}: give text or a whole number")
    return str(found) if isinstance(found, int) and not -(2**63) <= found < 2**63 else found


def plain_list(value: Any, where: str, element: Callable[[Any, str], Any] = plain, *, ordered: bool = False) -> Any:
    """The elements of anything that has some; a text, which `fields` may be, as it is.

    ordered: whether the order of the elements means something, so that a set is refused.
    """
    if isinstance(value, str):
        return plain(value, where)
    if ordered and isinstance(value, Set) and not isinstance(value, Mapping):
        raise InvalidArgument(f"{where} is a set, whose elements have no order: give a list")
    return [element(each, f"{where}[{index}]") for index, each in enumerate(elements(value, where))]


def plain_ids(value: Any, where: str) -> Any:
    return plain_list(value, where, plain_id)


def plain_record(value: Any, where: str) -> dict[str, Any]:
    """The members of a mapping, of a row of a table, a dataclass or a named tuple, or of pairs.

    What is empty and none of these is refused: sent as a whole item, it would clear one.
    """
    found = plain(value if isinstance(value, Mapping) else _guarded(lambda: _members(value), where), where)
    if not found and not isinstance(value, Mapping) and not hasattr(value, "keys"):
        raise InvalidArgument(f"{where} is no record, {_shown(value)}: give a dict")
    return dict(found)


def plain_time(value: Any, where: str) -> Any:
    """Unix milliseconds for a time that has a zone; numbers and text as they are, for the server to read."""
    if isinstance(value, datetime.date) or _is_numpy_time(value):
        return _guarded(lambda: _unix_ms(value, where), where)
    return plain(value, where)


def elements(value: Any, where: str) -> list[Any]:
    """Those of a list, set, generator or array. Raises InvalidArgument for a text, a mapping or what has none."""

    def taken() -> list[Any]:
        # times would become nanoseconds, and short floats digits that they do not have
        found = (
            value.tolist() if _is_array(value) and _kind(value) not in {"m", "M"} and not _is_short(value) else value
        )
        if isinstance(found, str | bytes | bytearray | Mapping) or not isinstance(found, Iterable):
            raise InvalidArgument(f"{where} is no list, {_shown(value)}: give a list")
        kept = list(islice(found, MAX_ELEMENTS + 1))
        if len(kept) > MAX_ELEMENTS:
            raise InvalidArgument(f"{where} has over {MAX_ELEMENTS:,} elements: give fewer")
        return kept

    # What a generator raises is its maker's own.
    return taken() if isinstance(value, Iterator) else _guarded(taken, where)


def _plain(value: Any, where: str, depth: int) -> Any:
    if depth > MAX_DEPTH:
        raise InvalidArgument(f"{where} has more than {MAX_DEPTH} lists and objects in each other")

    def converted() -> Any:
        for applies, convert in CONVERSIONS:
            if applies(value):
                return convert(value, where, depth)
        raise InvalidArgument(f"{where} cannot be sent, {_shown(value)}: give text, a number or a list of them")

    return _guarded(converted, where)


def _refuse_missing(value: Any, where: str, _: int) -> NoReturn:
    raise InvalidArgument(f"{where} is {_shown(value)}, which JSON has no word for: give None, or leave it out")


def _object(value: Any, where: str, depth: int) -> dict[str, Any]:
    return {_name(name, where): _plain(each, f"{where}.{name}", depth + 1) for name, each in value.items()}


def _list(value: Any, where: str, depth: int) -> list[Any]:
    return [_plain(each, f"{where}[{index}]", depth + 1) for index, each in enumerate(elements(value, where))]


def _text(value: str, where: str, _: int = 0) -> str:
    try:
        value.encode()
    except UnicodeEncodeError:
        raise InvalidArgument(f"{where} has half of a surrogate pair, which is no character: remove it") from None
    return str(value)


def _name(name: Any, where: str) -> str:
    if not isinstance(name, str):
        raise InvalidArgument(f"{where} has the name {_shown(name)}: names are text")
    return _text(name, f"a name in {where}")


def _number(value: Any, where: str, _: int) -> int | float:
    if isinstance(value, numbers.Integral):
        return int(value)
    if isinstance(value, complex) or not isinstance(value, Decimal | numbers.Real):
        raise InvalidArgument(f"{where} is {_shown(value)}, which is no real number")
    if isinstance(value, Decimal) and value == value.to_integral_value():
        return int(value) if abs(value) < Decimal(10) ** 40 else float(value)
    number = float(str(value)) if _is_short(value) else float(value)
    if not math.isfinite(number):
        raise InvalidArgument(f"{where} is {_shown(value)}, which JSON has no word for: give a number, or leave it out")
    return number


def _members(value: Any) -> dict[str, Any]:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    as_dict = getattr(value, "_asdict", None)
    return dict(as_dict() if isinstance(value, tuple) and callable(as_dict) else value)


def _unix_ms(value: Any, where: str) -> int:
    if _is_missing(value):
        raise InvalidArgument(f"{where} is {_shown(value)}: give a time, or leave it out")
    if not isinstance(value, datetime.datetime) or value.tzinfo is None:
        advice = "give a datetime with a zone, as datetime.now(UTC) is"
        raise InvalidArgument(f"{where} is {_shown(value)}, and nobody can tell which moment that is: {advice}")
    return int((value - EPOCH) // MILLISECOND)


def _is_array(value: Any) -> bool:
    """Of numpy, pandas or torch: one of their scalars too."""
    return callable(getattr(value, "tolist", None)) and not isinstance(value, type)


def _kind(value: Any) -> Any:
    """M for numpy's times, m for its durations, None where numpy has nothing to do with it."""
    return getattr(getattr(value, "dtype", None), "kind", None)


def _is_short(value: Any) -> bool:
    """Whether it is of numpy's floats of 16 or 32 bits, in which 0.1 is another number than in 64."""
    return bool(_kind(value) == "f" and value.dtype.itemsize < DOUBLE_BYTES)


def _is_numpy_time(value: Any) -> bool:
    return _kind(value) == "M" and getattr(value, "shape", None) == ()


def _is_missing(value: Any) -> bool:
    """NaN of whatever type, and the marks that pandas has for what is missing."""
    if type(value).__name__ in {"NAType", "NaTType"}:
        return True
    if isinstance(value, Decimal):
        return not value.is_finite()
    scalar = isinstance(value, numbers.Number | datetime.date) or _is_numpy_time(value)
    return scalar and bool(value != value)  # noqa: PLR0124 - NaN and NaT, of whatever type


def _guarded(convert: Callable[[], Any], where: str) -> Any:
    """What `convert` returns. Raises InvalidArgument for whatever a value's own methods raise."""
    try:
        return convert()
    except GemserveError:
        raise
    except Exception as error:
        raise InvalidArgument(f"{where} cannot be sent: {type(error).__name__}: {str(error)[:200]}") from error


def _shown(value: object) -> str:
    try:
        return f"{type(value).__name__} {ascii(value)[:60]}"
    except Exception:
        return type(value).__name__


def _is_list(value: Any) -> bool:
    return isinstance(value, Iterable) and not isinstance(value, bytes | bytearray | memoryview)


CONVERSIONS: Sequence[tuple[Callable[[Any], bool], Callable[[Any, str, int], Any]]] = (
    (lambda value: isinstance(value, Enum), lambda value, where, depth: _plain(value.value, where, depth + 1)),
    (lambda value: value is None or isinstance(value, bool), lambda value, _, __: value),
    (lambda value: isinstance(value, str), _text),
    (lambda value: isinstance(value, UserString), lambda value, where, _: _text(str(value), where)),
    (lambda value: isinstance(value, uuid.UUID), lambda value, _, __: str(value)),
    (_is_missing, _refuse_missing),
    (lambda value: isinstance(value, Decimal | numbers.Number) and _kind(value) != "m", _number),
    (lambda value: isinstance(value, datetime.date | datetime.time), lambda value, _, __: value.isoformat()),
    (_is_numpy_time, lambda value, _, __: str(value)),
    (lambda value: isinstance(value, Mapping), _object),
    (
        lambda value: _is_array(value) and _kind(value) not in {"m", "M"} and not (_is_short(value) and value.ndim > 0),
        lambda value, where, depth: _plain(value.tolist(), where, depth + 1),
    ),
    (_is_list, _list),
)
"""Whether a conversion is a value's, and the conversion; the first that is."""
