"""The checks of totals and facets: every count must be one that the expected catalog makes possible.

Recommendations and shelves count what they may show, so there the counts are known but for changes under way. Of a
search nobody but the server knows all items that match; surely match those that have each of its words, letter for
letter, in their title.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from loadtest.locust.oracle.expected_catalog import Allowed
from loadtest.locust.oracle.fault import Fault
from loadtest.locust.oracle.filter_cases import ItemRecord
from loadtest.locust.oracle.query import Query

__all__ = ["check_facets", "facet_columns", "surely_matches"]

MAX_VALUES = 10
"""Values of a column that an answer tells unasked."""
NOT_COUNTED = {"id", "title", "description"}
WORD = re.compile("[a-z]+")


def facet_columns(records: Iterable[ItemRecord]) -> list[str]:
    """The columns whose values the oracle can count: of strings, numbers, yes and no, and lists of strings."""
    seen: dict[str, bool] = {}
    for record in records:
        for column, value in record.items():
            if value is not None and column not in NOT_COUNTED:
                seen[column] = seen.get(column, True) and _is_counted(value)
    return [column for column, counted in seen.items() if counted]


def surely_matches(query: Query, body: Mapping[str, Any], record: ItemRecord) -> bool:
    """Whether an item is counted by this answer, however its words were read: True for what searches for none."""
    if query.kind != "search":
        return True
    if body.get("corrected_query") is not None or (body.get("understood") or {}).get("filter") is not None:
        return False
    words = (query.q or "").lower().split()
    title = str(record.get("title") or "").lower().split()
    return all(WORD.fullmatch(word) is not None and word in title for word in words)


def check_facets(
    query: Query, body: Mapping[str, Any], allowed_by: Callable[[str | None], Sequence[Allowed]]
) -> Iterator[Fault]:
    """The faults of what an answer counts.

    allowed_by: the items that the query allows, for the counts of one column; None: for the total.
    """
    of_answer = body["total_is"] == "answer"
    if body["total_is"] not in ({"matching", "answer"} if query.kind == "search" else {"allowed"}):
        yield Fault("total", f"{query.kind} counts {body['total_is']}")
    shown = [Allowed(item["id"], [item], True) for item in body["items"]]

    def counted(column: str | None) -> tuple[list[Allowed], list[Allowed]]:
        """The items that may be counted, and of them those that surely are."""
        may = shown if of_answer else allowed_by(column)
        surely = [one for one in may if one.surely and all(surely_matches(query, body, r) for r in one.records)]
        return [*may], [*shown] if of_answer else surely

    may, surely = counted(None)
    if not len(surely) <= body["total"] <= len(may):
        yield Fault("total", f"{body['total']} items, {len(surely)} to {len(may)} may be counted")
    for column in query.facets:
        if not of_answer or all(column in item for item in body["items"]):
            yield from _check_column(column, body, *counted(column if query.disjunctive else None))


def _check_column(
    column: str, body: Mapping[str, Any], may: Sequence[Allowed], surely: Sequence[Allowed]
) -> Iterator[Fault]:
    told: dict[str, int] = body["facetDistribution"][column]
    distinct: int = body["facetValues"][column]
    values = [record.get(column) for one in may for record in one.records]
    numbers = any(isinstance(value, int | float) and not isinstance(value, bool) for value in values)
    most = Counter(name for one in may for name in set().union(*_names(column, one)))
    least = Counter(name for one in surely for name in set.intersection(*_names(column, one)))
    for value, count in told.items():
        if not least[value] <= count <= most[value]:
            yield Fault("facets", f"{count} items with {column} = {value}, {least[value]} to {most[value]} may be")
    if not len(least) <= distinct <= len(most):
        yield Fault("facets", f"{distinct} values of {column}, {len(least)} to {len(most)} may be")
    if len(told) != (0 if numbers and distinct > MAX_VALUES else min(distinct, MAX_VALUES)):
        yield Fault("facets", f"{len(told)} values of {column} are told, there are {distinct}")
    if [*told] != sorted(told, key=lambda name: (-told[name], float(name) if numbers else name)):
        yield Fault("facets", f"the commonest values of {column} do not come first: {told}")
    rarest = min(told.values(), default=0) if distinct > len(told) else 0
    untold = {name for name, count in least.items() if count > rarest and name not in told}
    if untold and (told or not numbers):
        yield Fault("facets", f"values of {column} are not told, though more frequent: {sorted(untold)[:10]}")
    if numbers:
        yield from _check_range(column, body["facetStats"].get(column), values, surely)


def _check_range(
    column: str, stats: Mapping[str, float] | None, values: Sequence[Any], surely: Sequence[Allowed]
) -> Iterator[Fault]:
    """The range of a column of numbers must hold what is surely counted and nothing that cannot be."""
    possible = [value for value in values if value is not None]
    sure = [one.records[0][column] for one in surely if len(one.records) == 1 and one.records[0][column] is not None]
    if stats is None:
        if sure:
            yield Fault("facets", f"{column} has no range, though items have values")
        return
    low, high = min(sure, default=stats["min"]), max(sure, default=stats["max"])
    if not (min(possible) <= stats["min"] <= low and high <= stats["max"] <= max(possible)):
        yield Fault("facets", f"the range of {column} is {stats}, {low} to {high} are surely in it")
    if not stats["min"] <= stats["avg"] <= stats["max"]:
        yield Fault("facets", f"the mean of {column} is outside of its range: {stats}")


def _names(column: str, one: Allowed) -> list[set[str]]:
    """By state of an item, the values that it has."""
    return [{_name(value) for value in _values(record.get(column))} for record in one.records]


def _values(value: object) -> list[object]:
    return value if isinstance(value, list) else [] if value is None else [value]


def _name(value: object) -> str:
    """A value as answers write it where it is a name."""
    if isinstance(value, bool):
        return str(value).lower()
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _is_counted(value: object) -> bool:
    if isinstance(value, list):
        return all(isinstance(one, str) for one in value)
    return isinstance(value, bool | int | float) or (isinstance(value, str) and not _is_time(value))


def _is_time(text: str) -> bool:
    try:
        datetime.fromisoformat(text)
    except ValueError:
        return False
    return True
