"""Parses records that are JSON or printed Python dicts, as several public data sets have them."""

import ast
import json
from typing import Any

import orjson

__all__ = ["parse_record"]


def parse_record(text: str | bytes) -> dict[str, Any] | None:
    """The record, or None if the text is neither a JSON object nor a literal Python dict. No code is executed.

    `NaN` and `Infinity`, which are no JSON, are null.
    """
    try:
        record = orjson.loads(text)
    except orjson.JSONDecodeError:
        record = _record_of_python(text)
    return record if isinstance(record, dict) else None


def _record_of_python(text: str | bytes) -> Any:
    for parse in (_LENIENT.decode, ast.literal_eval):
        try:
            record = parse(text.decode() if isinstance(text, bytes) else text)
            json.dumps(record, ensure_ascii=False, skipkeys=True, default=str).encode()  # no half of a surrogate pair
            return record
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            continue
    return None


def _missing(_constant: str) -> None:
    return None


_LENIENT = json.JSONDecoder(strict=False, parse_constant=_missing)
