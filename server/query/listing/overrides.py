"""What overrides make of a query: further pins, hidden items, conditions, and another text, of which no cursor knows.

What the query itself names comes first, then the overrides in their order. An item is pinned once; where two want one
place, the first has it and the other stands behind. What anybody hides is hidden, pinned or not. The first that
replaces the text has it replaced; where none does, the words of the rules that say so are taken out. Rules are met by
what was typed, not by what an override has made of it.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import structlog

from catalog.data.items import Items
from catalog.errors import FilterError
from catalog.filters import Filter, parse
from catalog.priors.words import without_words, words_in_order
from server.core import metrics
from server.query.listing.pins import MAX_PINS
from server.query.reading import Reading
from server.query.types import Pin, Query
from server.retrieval.override_reader import OverrideReader
from server.storage.overrides import Boost, Override

__all__ = ["MAX_APPLIED", "Overridden", "overridden"]

MAX_APPLIED = 20
"""Overrides that one query is under: the first."""
MAX_PARSED = 1_024
"""Filters of overrides whose trees are remembered."""
EVERYTHING = "*"

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Overridden:
    """A query and its text under overrides.

    applied: the overrides, in their order; None where the query is under none.
    boosts: of all of them.
    replaced: the text in the place of what was typed, empty for all items; None where that is searched.
    """

    query: Query
    reading: Reading
    applied: Sequence[Override] | None = None
    boosts: Sequence[Boost] = ()
    replaced: str | None = None

    @property
    def ids(self) -> list[str] | None:
        return None if self.applied is None else [one.id for one in self.applied]


async def overridden(
    query: Query,
    reading: Reading,
    items: Items,
    known: OverrideReader,
    now: float,
    read: Callable[[Query], Awaitable[Reading]],
) -> Overridden:
    """The query as its overrides want it.

    items: of the catalog; an override with a filter that does not fit them is passed over.
    now: Unix seconds.
    read: how the text of a query is read.
    """
    if not query.overrides:
        return Overridden(query, reading)
    texts = [] if query.text is None else [query.text, reading.text or query.text]
    meeting = known.meeting(texts, query.filter, query.override_tags, now)
    fitting, filter_ = _fitting(meeting, reading.filter, items)
    if not fitting:
        return Overridden(query, reading)
    typed = query.text
    if (text := _replaced(query, reading, fitting)) is not None:
        query, reading = await _read_anew(query, reading, text, read)
        fitting, filter_ = _fitting(fitting, reading.filter, items)
    metrics.OVERRIDES_APPLIED.inc(len(fitting))
    hidden = dict.fromkeys((*query.hidden, *(item_id for one in fitting for item_id in one.excludes)))
    own = [f"({one.filter_by})" for one in fitting if one.filter_by is not None]
    return Overridden(
        replace(query, pins=tuple(_pins(query, fitting)), hidden=tuple(hidden)),
        replace(reading, filter=filter_, overrides_filter=" and ".join(own) or None),
        fitting,
        [boost for one in fitting for boost in one.boost],
        None if query.text == typed else query.text or "",
    )


def _replaced(query: Query, reading: Reading, overrides: Sequence[Override]) -> str | None:
    """What is searched in the place of what was typed, perhaps nothing; None where that is searched.

    Words are taken out of what was typed, or, where they do not stand there, out of how it was read.
    """
    if query.text is None or reading.text is None:
        return None
    if (whole := next((one.replace_query for one in overrides if one.replace_query is not None), None)) is not None:
        return "" if whole.strip() == EVERYTHING else whole
    rules = [
        words_in_order(one.rule.query) for one in overrides if one.remove_matched_tokens and one.rule.query is not None
    ]
    if not rules:
        return None
    of_typed = _without(query.text, rules)
    return _without(reading.text, rules) if of_typed is None else of_typed


def _without(text: str, rules: Iterable[Sequence[str]]) -> str | None:
    """A text without the words of some rules; None where those of one do not stand in it."""
    left = text
    for words in rules:
        if without_words(text, words) is None:
            return None
        shorter = without_words(left, words)  # None where another has taken some of them
        left = left if shorter is None else shorter
    return left


async def _read_anew(
    query: Query, before: Reading, text: str, read: Callable[[Query], Awaitable[Reading]]
) -> tuple[Query, Reading]:
    """The query with another text, and how it is read. A price that was typed holds, unless the other text has one."""
    reading = await read(replace(query, text=text)) if text else Reading(None, query.filter)
    price, own = before.understood, reading.understood
    nothing_left = not text or (own is not None and own.filter is not None and not own.query.strip())
    if price is not None and price.filter is not None and (own is None or own.filter is None):
        synonyms = () if own is None else own.synonyms
        reading = replace(reading, filter=before.filter, understood=replace(price, synonyms=synonyms))
    if not nothing_left:
        return replace(query, text=text), reading
    if query.min_score is not None or query.diversity > 0:  # which mean nothing where there are no words
        return query, before
    return replace(query, kind="browse", text=None), Reading(None, reading.filter, understood=reading.understood)


def _fitting(meeting: Sequence[Override], filter_: str | None, items: Items) -> tuple[list[Override], str | None]:
    """Those that apply, and the filter under them.

    Of those with filters, the first that can be joined with the query's own: it has a bounded length.
    """
    metrics.OVERRIDES_PASSED_OVER.labels("others").inc(max(0, len(meeting) - MAX_APPLIED))
    first = meeting[:MAX_APPLIED]
    suiting = [one for one in first if _suits(one, items)]
    metrics.OVERRIDES_PASSED_OVER.labels("filter").inc(len(first) - len(suiting))
    last = next((place for place, one in enumerate(suiting) if one.stop_processing), len(suiting))
    suiting = suiting[: last + 1]
    filtering = [one for one in suiting if one.filter_by is not None]
    if not filtering or not _is_filter(filter_):  # one that is none is answered as such
        return suiting, filter_
    if not _is_filter(_joined(filter_, filtering)):  # which is rare, and costs a millisecond or so a look
        sizes = range(1, len(filtering))
        most = bisect_left(sizes, x=True, key=lambda n: not _is_filter(_joined(filter_, filtering[:n])))
        left = {one.id for one in filtering[most:]}
        suiting, filtering = [one for one in suiting if one.id not in left], filtering[:most]
        metrics.OVERRIDES_PASSED_OVER.labels("filter").inc(len(left))
    return suiting, _joined(filter_, filtering)


def _suits(one: Override, items: Items) -> bool:
    """Whether its filters fit the columns that there are."""
    try:
        for expression in (*(boost.condition for boost in one.boost), one.filter_by):
            if expression is not None:
                _parsed(expression).check(items)
    except FilterError as error:
        log.debug("override_passed_over", override=one.id, reason=str(error))
        return False
    return True


def _joined(own: str | None, overrides: Sequence[Override]) -> str | None:
    """The filter that all of them ask for."""
    parts = [part for part in (own, *(one.filter_by for one in overrides)) if part is not None]
    return " and ".join(f"({part})" for part in parts) if len(parts) > 1 else next(iter(parts), None)


def _is_filter(expression: str | None) -> bool:
    """Whether it can be read, and is not too long; that is so of none at all."""
    try:
        return expression is None or bool(parse(expression))
    except FilterError:
        return False


@lru_cache(MAX_PARSED)
def _parsed(expression: str) -> Filter:
    return parse(expression)


def _pins(query: Query, overrides: Iterable[Override]) -> list[Pin]:
    """By their places; of one place, the query's own first."""
    pins = {pin.item_id: pin for pin in query.pins}
    for one in overrides:
        for include in one.includes:
            if len(pins) < MAX_PINS:
                pins.setdefault(include.id, Pin(include.id, include.position, one.id))
    return sorted(pins.values(), key=lambda pin: pin.position)
