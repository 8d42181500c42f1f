"""The checks of the order of an answer: that of its columns, where it has some, else that of its scores."""

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise

from loadtest.locust.oracle.expected_catalog import Allowed
from loadtest.locust.oracle.fault import Fault
from loadtest.locust.oracle.filter_cases import ItemRecord
from loadtest.locust.oracle.query import Query

__all__ = ["check_left_out", "check_order"]


def check_order(query: Query, items: Sequence[ItemRecord]) -> Iterator[Fault]:
    """The faults of the order in which the items of an answer stand: what is equal in the columns comes by score, and
    where no model scored it then by id."""
    for first, second in pairwise(items):
        order = _compare(query, first, second)
        falls = first["score"] > second["score"]
        equal = first["score"] == second["score"] and (query.kind != "browse" or first["id"] < second["id"])
        if order > 0 or (order == 0 and not (falls or equal)):
            keys = [name for name, _ in query.sort_by]
            shown = [[item[name] for name in (*keys, "score", "id")] for item in (first, second)]
            yield Fault("order", f"by {keys or 'score'}, {shown[0]} stands before {shown[1]}")


def check_left_out(
    query: Query, items: Sequence[ItemRecord], allowed: Sequence[Allowed], listed: Callable[[ItemRecord], bool]
) -> Iterator[Fault]:
    """An item that comes before the last one of a page must be on it, or on one before.

    allowed: the items that the query allows.
    listed: whether an item is surely among those that the answer orders.
    """
    if not items or not query.sort_by:
        return
    there = {*query.shown, *(item["id"] for item in items)}
    left = [one for one in allowed if one.surely and one.item_id not in there and all(map(listed, one.records))]
    for one in left:
        if all(_compare(query, record, items[-1]) < 0 for record in one.records):
            yield Fault("order", f"{one.item_id} comes before {items[-1]['id']} by {query.sort_by} and is left out")


def _compare(query: Query, first: ItemRecord, second: ItemRecord) -> int:
    """Below 0 where the first item comes before the second, above 0 where behind it; nothing comes last."""
    for column, descending in query.sort_by:
        one, other = first.get(column), second.get(column)
        if one == other:
            continue
        if one is None or other is None:
            return 1 if one is None else -1
        return 1 if (one < other) is descending else -1
    return 0
