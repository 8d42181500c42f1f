"""Filters, each with a Python predicate of the same meaning, by which the server's filtering is checked."""

import functools
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

__all__ = ["FilterCase", "ItemRecord", "draw_filter_cases"]

ItemRecord = dict[str, Any]
"""An item as answers show it: `id` and every column of the catalog."""

MODEL_RECORDS = 4
"""Number of records after which filters are made."""


@dataclass(frozen=True, slots=True)
class FilterCase:
    """text: the filter as it is sent.

    matches: whether an item meets it, available or not.
    column: the one that it is on.
    parts: the cases that it joins by `and`; none where it is a single condition.
    """

    text: str
    matches: Callable[[ItemRecord], bool]
    column: str | None = None
    parts: "tuple[FilterCase, ...]" = ()

    def without(self, column: str) -> "FilterCase | None":
        """Its conditions but for those on this column; None where none is left."""
        left = [part for part in self.parts or (self,) if part.column != column]
        return functools.reduce(_both, left) if left else None


def draw_filter_cases(records: Sequence[ItemRecord], generator: np.random.Generator) -> list[FilterCase]:
    """Filters that nearly all of the records meet, some of them, or one."""
    cases: list[FilterCase] = []
    for record in generator.choice(np.array(records, object), MODEL_RECORDS, replace=len(records) < MODEL_RECORDS):
        by_id = _equals("id", record["id"])
        cases += [by_id, FilterCase(f"not ({by_id.text})", _negated(by_id), "id")]
        if record.get("categories"):
            category = _has("categories", record["categories"][-1])
            cases.append(category)
            if record.get("price") is not None:
                cases.append(_both(category, _cheaper("price", record["price"] + 1)))
        if record.get("price") is not None:
            cases.append(_cheaper("price", record["price"]))
        if record.get("brand") is not None:
            cases.append(_equals("brand", record["brand"]))
    return cases


def _literal(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


def _equals(column: str, value: object) -> FilterCase:
    return FilterCase(f"{column} = {_literal(value)}", lambda record: bool(record.get(column) == value), column)


def _has(column: str, value: str) -> FilterCase:
    return FilterCase(f"{column} = {_literal(value)}", lambda record: value in (record.get(column) or ()), column)


def _cheaper(column: str, bound: float) -> FilterCase:
    return FilterCase(
        f"{column} < {bound}", lambda record: record.get(column) is not None and bool(record[column] < bound), column
    )


def _both(first: FilterCase, second: FilterCase) -> FilterCase:
    return FilterCase(
        f"{first.text} and {second.text}",
        lambda record: first.matches(record) and second.matches(record),
        parts=(*(first.parts or (first,)), *(second.parts or (second,))),
    )


def _negated(case: FilterCase) -> Callable[[ItemRecord], bool]:
    return lambda record: not case.matches(record)
