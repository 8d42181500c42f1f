"""Overrides: what a shop does to answers of its own choice, and to which. Here they are as they are stored.

An override does something (pins, hides, filters, boosts, writes another query) where its rule meets a query and its
time has come. Those that meet a query apply in the order of `order`; the first has the first word.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["Boost", "Include", "Match", "Override", "Rule"]

Match = Literal["exact", "contains"]


@dataclass(frozen=True, slots=True)
class Rule:
    """Which queries an override is for: those that meet all that it names.

    query: words of a search. match: all words of it, or words that stand in it one behind the other.
    filter_by: the filter that the query comes with, in any spelling of it.
    tags: of which the query has one at least.
    """

    query: str | None = None
    match: Match = "exact"
    filter_by: str | None = None
    tags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Include:
    """An item's id, and the place where it shall stand, from 1 over all pages."""

    id: str
    position: int


@dataclass(frozen=True, slots=True)
class Boost:
    """Items that meet a filter are `factor` times as likely."""

    condition: str
    factor: float


@dataclass(frozen=True, slots=True)
class Override:
    """
    includes: items at places of their own. excludes: ids of items that are left out.
    filter_by: which items come at all.
    boost: of which the likelihoods are multiplied.
    replace_query: what is searched in the place of what was typed.
    remove_matched_tokens: the words of the rule's query are not searched.
    stop_processing: those that come after it do not apply.
    priority: those with a greater one apply first, of equals in the order of their ids.
    starts_at, ends_at: from when on and until when it applies, Unix seconds; None for ever.
    """

    id: str
    rule: Rule
    includes: tuple[Include, ...] = ()
    excludes: tuple[str, ...] = ()
    filter_by: str | None = None
    boost: tuple[Boost, ...] = ()
    priority: int = 0
    starts_at: float | None = None
    ends_at: float | None = None
    replace_query: str | None = None
    remove_matched_tokens: bool = False
    stop_processing: bool = False

    @property
    def order(self) -> tuple[int, str]:
        return -self.priority, self.id

    def holds(self, now: float) -> bool:
        """Whether it applies at a time, Unix seconds."""
        return (self.starts_at is None or self.starts_at <= now) and (self.ends_at is None or now < self.ends_at)
