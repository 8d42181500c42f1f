"""One record written as JSON or as a Python dict: several public data sets are printed dicts, line by line."""

import ast
from typing import Any

import orjson

__all__ = ["parse_record"]


def parse_record(text: str | bytes) -> dict[str, Any] | None:
    """The record, or None if `text` is neither a JSON object nor a literal Python dict. Nothing is ever executed."""
    try:
        record = orjson.loads(text)
    except orjson.JSONDecodeError:
        try:
            record = ast.literal_eval(text.decode() if isinstance(text, bytes) else text)
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            return None
    return record if isinstance(record, dict) else None
