"""What a shop has set by hand: synonyms and overrides."""

from __future__ import annotations

from dataclasses import dataclass

from gemserve_client.responses.body import Body

__all__ = [
    "Boost",
    "Exclude",
    "Include",
    "Override",
    "OverrideDeleted",
    "OverrideRule",
    "OverrideWritten",
    "OverridesPage",
    "SynonymSet",
    "SynonymsDeleted",
    "SynonymsPage",
    "SynonymsWritten",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class SynonymSet(Body):
    """Words and phrases that are also read as each other, or with `root`, that the root alone is also read as."""

    id: str
    synonyms: tuple[str, ...]
    root: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SynonymsWritten(SynonymSet):
    """`created`: False where it took the place of another set."""

    request_id: str
    created: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class SynonymsPage(Body):
    """Sets of synonyms by their ids; `total`: how many there are."""

    synonyms: tuple[SynonymSet, ...]
    total: int
    next_cursor: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SynonymsDeleted(Body):
    request_id: str
    id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OverrideRule(Body):
    """Which queries an override is for: those that meet all that it names. `match`: "exact" or "contains"."""

    query: str | None = None
    match: str = "exact"
    filter_by: str | None = None
    tags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Include(Body):
    """An item, and the place where it stands, from 1 over all pages."""

    id: str
    position: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Exclude(Body):
    """An item that is left out."""

    id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Boost(Body):
    """Items that meet a filter, which are `factor` times as likely."""

    condition: str
    factor: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Override(Body):
    """What happens in the answers to queries that meet a rule; `starts_at`, `ends_at` in ISO 8601, None for ever."""

    id: str
    rule: OverrideRule
    includes: tuple[Include, ...] = ()
    excludes: tuple[Exclude, ...] = ()
    filter_by: str | None = None
    boost: tuple[Boost, ...] = ()
    replace_query: str | None = None
    remove_matched_tokens: bool = False
    stop_processing: bool = False
    priority: int = 0
    starts_at: str | None = None
    ends_at: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OverrideWritten(Override):
    """`created`: False where it took the place of another. `missing`: its ids that no item has now."""

    request_id: str
    created: bool
    missing: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class OverridesPage(Body):
    """Overrides by their ids; `total`: how many there are."""

    overrides: tuple[Override, ...]
    total: int
    next_cursor: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OverrideDeleted(Body):
    request_id: str
    id: str
