"""Pins: items that a shop puts at places of its own choice, while the others slide down.

A place counts from 1 over all pages. A pinned item that may not be shown leaves its place to those below; where the
list ends before it, it comes last; and where its place was on a page before, as the first of the next one. So no item
comes twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from server.engine.protocol import Ranking, RankRequest
from server.query.types import Pinned

__all__ = ["MAX_PINS", "joined", "of_pins", "placed"]

MAX_PINS = 50
"""Items that are pinned in one answer, by the query and all its overrides."""


def placed(others: Sequence[int], pins: Sequence[Pinned], first: int, k: int) -> list[int]:
    """The leaves of a page: pins at their places, the others around them.

    others: the best first. pins: by their places, and none of the others. first: the place of the page's first item.
    """
    page: list[int] = []
    left, free = list(pins)[::-1], list(others)[::-1]
    while len(page) < k and (left or free):
        is_due = bool(left) and left[-1].position <= first + len(page)
        page.append(left.pop().leaf if is_due or not free else free.pop())
    return page


def of_pins(request: RankRequest, pins: Sequence[Pinned], denied: Sequence[int]) -> RankRequest | None:
    """The request for those pins that may be shown, with their scores; None where none may.

    request: for the others. denied: leaves that may not be shown.
    """
    leaves = {pin.leaf for pin in pins}
    allow = sorted(leaves if request.allow is None else leaves.intersection(request.allow))
    if not allow:
        return None
    return replace(
        request, allow=allow, deny=denied, k=len(allow), width=len(allow), request_id=f"{request.request_id}-pins"
    )


def joined(others: Ranking, pinned: Ranking, pins: Sequence[Pinned], first: int, k: int) -> Ranking:
    """The page of two rankings. pinned: of those pins that may be shown."""
    shown = set(pinned.leaves)
    leaves = placed(others.leaves, [pin for pin in pins if pin.leaf in shown], first, k)
    both = others.then(pinned)
    place_of = {leaf: place for place, leaf in enumerate(both.leaves)}
    return both.at([place_of[leaf] for leaf in leaves])
