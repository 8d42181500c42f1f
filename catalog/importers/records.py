"""Parses records that are JSON or printed Python dicts, as several public data sets have them."""

import ast
from typing import Any

import orjson

__all__ = ["parse_record"]


def parse_record(text: str | bytes) -> dict[str, Any] | None:
    """The record, or None if the text is neither a JSON object nor a literal Python dict. No code is executed."""
    try:
        record = orjson.loads(text)
    except orjson.JSONDecodeError:
        try:
            record = ast.literal_eval(text.decode() if isinstance(text, bytes) else text)
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            return None
    return record if isinstance(record, dict) else None
