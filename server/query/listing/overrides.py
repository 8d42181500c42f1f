"""What overrides make of a query: further pins, hidden items and conditions, which no cursor knows of.

What the query itself names comes first, then the overrides in their order. An item is pinned once; where two want one
place, the first has it and the other stands behind. What anybody hides is hidden, pinned or not.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import structlog

from catalog.data.items import Items
from catalog.errors import FilterError
from catalog.filters import Filter, parse
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

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Overridden:
    """A query and its text under overrides.

    applied: the overrides, in their order; None where the query is under none.
    boosts: of all of them.
    """

    query: Query
    reading: Reading
    applied: Sequence[Override] | None = None
    boosts: Sequence[Boost] = ()

    @property
    def ids(self) -> list[str] | None:
        return None if self.applied is None else [one.id for one in self.applied]


def overridden(query: Query, reading: Reading, items: Items, known: OverrideReader, now: float) -> Overridden:
    """The query as its overrides want it.

    items: of the catalog; an override with a filter that does not fit them is passed over.
    now: Unix seconds.
    """
    if not query.overrides:
        return Overridden(query, reading)
    texts = [] if query.text is None else [query.text, reading.text or query.text]
    meeting = known.meeting(texts, query.filter, query.override_tags, now)
    fitting, filter_ = _fitting(meeting, reading.filter, items)
    if not fitting:
        return Overridden(query, reading)
    metrics.OVERRIDES_APPLIED.inc(len(fitting))
    hidden = dict.fromkeys((*query.hidden, *(item_id for one in fitting for item_id in one.excludes)))
    own = [f"({one.filter_by})" for one in fitting if one.filter_by is not None]
    return Overridden(
        replace(query, pins=tuple(_pins(query, fitting)), hidden=tuple(hidden)),
        replace(reading, filter=filter_, overrides_filter=" and ".join(own) or None),
        fitting,
        [boost for one in fitting for boost in one.boost],
    )


def _fitting(meeting: Sequence[Override], filter_: str | None, items: Items) -> tuple[list[Override], str | None]:
    """Those that apply, and the filter under them.

    Of those with filters, the first that can be joined with the query's own: it has a bounded length.
    """
    metrics.OVERRIDES_PASSED_OVER.labels("others").inc(max(0, len(meeting) - MAX_APPLIED))
    first = meeting[:MAX_APPLIED]
    suiting = [one for one in first if _suits(one, items)]
    metrics.OVERRIDES_PASSED_OVER.labels("filter").inc(len(first) - len(suiting))
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
