"""The checks of suggestions: queries of enough people only, and values and items that may be shown.

What people of other runs typed is not known here. So some queries have a word that is only in those of this run, and of
them it is known who typed which.
"""

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from catalog.suggestions import MIN_PEOPLE, is_private, key_of
from loadtest.locust.oracle.expected_catalog import Allowed
from loadtest.locust.oracle.expected_history import SentEvent
from loadtest.locust.oracle.fault import Fault

__all__ = ["ExpectedQueries", "check_suggestions"]

RENEWED_SECONDS = 10.0
"""After so long what people typed is surely suggested; it usually takes one."""
KINDS = ("queries", "categories", "items")
NOT_COLUMNS = {"start", "end"}


class ExpectedQueries:
    """Who typed the queries that begin with this run's own word.

    word: in no item, and in no query of another run.
    """

    def __init__(self, word: str, clock: Callable[[], float] = time.monotonic) -> None:
        self.word = word
        self._clock = clock
        self._acknowledged: dict[str, dict[str, float]] = {}

    def send(self, event: SentEvent) -> None:
        """Call before an event is sent."""
        if event.query is not None and event.query.startswith(self.word):
            self._acknowledged.setdefault(event.query, {}).setdefault(event.user, math.inf)

    def acknowledge(self, event: SentEvent) -> None:
        """Call when the server has acknowledged an event."""
        people = self._acknowledged.get(event.query or "", {})
        if event.user in people:
            people[event.user] = min(people[event.user], self._clock())

    def possible(self) -> set[str]:
        """The queries that enough people may have typed."""
        return {query for query, people in self._acknowledged.items() if len(people) >= MIN_PEOPLE}

    def certain(self, before: float) -> set[str]:
        """The queries that enough people had surely typed by then."""
        return {
            query
            for query, people in self._acknowledged.items()
            if sum(acknowledged <= before for acknowledged in people.values()) >= MIN_PEOPLE
        }


def check_suggestions(
    typed: str,
    most: int,
    body: Mapping[str, Any],
    allowed: Sequence[Allowed],
    queries: ExpectedQueries,
    began: float,
    *,
    renewed: bool,
) -> Iterator[Fault]:
    """All faults of an answer to GET /suggest.

    most: how many of a kind were asked for.
    allowed: the items that may be shown and meet the filter.
    began: when it was asked.
    renewed: whether the server takes up what people type within RENEWED_SECONDS.
    """
    for kind in KINDS:
        if len(body[kind]) > most:
            yield Fault("count", f"{len(body[kind])} {kind} are suggested, {most} were asked for")
    texts = [query["text"] for query in body["queries"]]
    yield from _check_queries(texts, queries.possible(), queries.word)
    due = queries.certain(began - RENEWED_SECONDS) if renewed and typed == queries.word else set()
    if not due <= {*texts}:
        yield Fault("lost query", f"{sorted(due - {*texts})} are not suggested for {typed!r}, but {texts}")
    for value in body["categories"]:
        yield from _check_value(typed, value, allowed)
    records = {one.item_id: one.records for one in allowed}
    for item in body["items"]:
        found = {name: value for name, value in item.items() if name not in NOT_COLUMNS}
        if found not in records.get(item["id"], ()):
            yield Fault("record", f"{item['id']} is suggested as {found}, may be {records.get(item['id'])}")
        if not 0 <= item["start"] <= item["end"] <= len(item["title"] or ""):
            yield Fault("matched", f"of {item['title']!r} was typed {item['start']} to {item['end']}")


def _check_queries(texts: Sequence[str], possible: set[str], word: str) -> Iterator[Fault]:
    for text in texts:
        if word in text and text not in possible:
            yield Fault("private query", f"{text!r} is suggested, which fewer than {MIN_PEOPLE} people typed")
        if is_private(text):
            yield Fault("private query", f"{text!r} may name somebody")
    if len({key_of(text) for text in texts}) < len(texts):
        yield Fault("distinct", f"a query is suggested twice: {texts}")


def _check_value(typed: str, suggested: Mapping[str, Any], allowed: Sequence[Allowed]) -> Iterator[Fault]:
    column, value = suggested["column"], suggested["value"]

    def has(record: Mapping[str, Any]) -> bool:
        own = record.get(column)
        return value in own if isinstance(own, list) else own == value

    least = sum(one.surely and all(map(has, one.records)) for one in allowed)
    most = sum(any(map(has, one.records)) for one in allowed)
    if not max(least, 1) <= suggested["count"] <= most:
        yield Fault("facets", f"{suggested['count']} items with {column} = {value}, {least} to {most} may be")
    if key_of(typed) not in key_of(value):
        yield Fault("suggestion", f"{value!r} is suggested for {typed!r}")
