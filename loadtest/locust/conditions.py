"""Filters, each beside a predicate of Python that says what it means: the oracle for what a server lets through."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

__all__ = ["Condition", "Record", "draw_conditions"]

Record = dict[str, Any]
"""An item as answers show it: `id` and every column of the catalog."""

MODELS = 4
"""Records that conditions are made after."""


@dataclass(frozen=True, slots=True)
class Condition:
    """text: as it is sent. holds: for which items, whether or not they are available."""

    text: str
    holds: Callable[[Record], bool]


def draw_conditions(records: Sequence[Record], generator: np.random.Generator) -> list[Condition]:
    """Conditions that nearly all of the records meet, some of them, or one."""
    conditions: list[Condition] = []
    for record in generator.choice(np.array(records, object), MODELS, replace=len(records) < MODELS):
        one = Condition(f"id = {_literal(record['id'])}", _equals("id", record["id"]))
        conditions.append(one)
        conditions.append(Condition(f"not ({one.text})", _negated(one)))
        if record.get("categories"):
            category = _has("categories", record["categories"][-1])
            conditions.append(category)
            if record.get("price") is not None:
                conditions.append(_both(category, _cheaper("price", record["price"] + 1)))
        if record.get("price") is not None:
            conditions.append(_cheaper("price", record["price"]))
        if record.get("brand") is not None:
            conditions.append(Condition(f"brand = {_literal(record['brand'])}", _equals("brand", record["brand"])))
    return conditions


def _literal(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


def _equals(column: str, value: object) -> Callable[[Record], bool]:
    return lambda record: bool(record.get(column) == value)


def _has(column: str, value: str) -> Condition:
    return Condition(f"{column} = {_literal(value)}", lambda record: value in (record.get(column) or ()))


def _cheaper(column: str, bound: float) -> Condition:
    return Condition(
        f"{column} < {bound}", lambda record: record.get(column) is not None and bool(record[column] < bound)
    )


def _both(one: Condition, other: Condition) -> Condition:
    return Condition(f"{one.text} and {other.text}", lambda record: one.holds(record) and other.holds(record))


def _negated(one: Condition) -> Callable[[Record], bool]:
    return lambda record: not one.holds(record)
