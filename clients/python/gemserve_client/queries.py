"""Questions that can be asked alone, page by page (`pages`), or many at once (`batch`)."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

from gemserve_client.errors import InvalidArgument
from gemserve_client.values.plain import elements, plain, plain_id, plain_ids, plain_list

__all__ = [
    "Basket",
    "BoughtTogether",
    "Browse",
    "Latest",
    "Popular",
    "Question",
    "Recommend",
    "Search",
    "Seen",
    "Similar",
    "Trending",
]

LISTS = (
    "candidates",
    "fields",
    "facets",
    "history",
    "items",
    "exclude_seen",
    "pinned_hits",
    "hidden_hits",
    "override_tags",
)


@dataclass(frozen=True, slots=True)
class Seen:
    """An item that an anonymous visitor looked at, the query that led to it, and the type of the event: else a view."""

    item_id: str | int
    query: str | None = None
    type: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What every question may say; what is None is left to the server.

    k, limit          how many items, 1 to 200; the server knows both names
    cursor            `next_cursor` of an answer to the same question
    filter            only items that meet an expression, as in `category = "Tents" and price < 200`
    sort_by           columns to sort by, as in "price:asc,brand:desc"; "_relevance" is the order without
    group_by, group_limit  a column, of each value of which at most so many items come, 1 to 10, over all pages
    max_per           further columns with such numbers, as in "brand:3,season:5"
    pinned_hits       items at places of their own, as in "ID:1,ID:5", or pairs of an id and its place, or a mapping
    hidden_hits       ids of items that are left out
    override_tags     tags by which the shop's overrides are chosen
    enable_overrides  False: none of these apply
    fields            the columns of an item that come back; id, score, relevance and reason always do
    facets            columns whose values are counted; "*": all but ids, titles and descriptions
    max_facet_values  values of each that are told, 1 to 100
    disjunctive_facets  count each column as if the filter's conditions on it alone were not there
    total             count the items even where no facets are wanted
    timeout_ms        the longest wait for the answer
    """

    kind: ClassVar[str]

    k: int | None = None
    cursor: str | None = None
    filter: str | None = None
    sort_by: str | None = None
    group_by: str | None = None
    group_limit: int | None = None
    max_per: str | None = None
    pinned_hits: str | Mapping[str | int, int] | Iterable[tuple[str | int, int]] | None = None
    hidden_hits: Iterable[str | int] | None = None
    override_tags: Iterable[str] | None = None
    enable_overrides: bool | None = None
    fields: Iterable[str] | None = None
    facets: Iterable[str] | None = None
    max_facet_values: int | None = None
    disjunctive_facets: bool | None = None
    total: bool | None = None
    timeout_ms: int | None = None
    limit: int | None = None

    def __post_init__(self) -> None:
        """Keeps what a generator makes: a question is asked anew for every page."""
        for name in LISTS:
            value = getattr(self, name, None)
            if isinstance(value, Iterator):
                object.__setattr__(self, name, tuple(elements(value, name)))

    def parameters(self) -> dict[str, Any]:
        """What goes over the wire. Raises InvalidArgument for what cannot."""
        given = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return {name: READERS.get(name, plain)(value, name) for name, value in given.items() if value is not None}


@dataclass(frozen=True, slots=True, kw_only=True)
class Browse(Question):
    """Everything that is available and meets the filter, the most popular first where `sort_by` says nothing."""

    kind: ClassVar[str] = "browse"


@dataclass(frozen=True, slots=True, kw_only=True)
class ShelfQuestion(Question):
    """What questions for shelves may say, which no model fills.

    candidates        show these items only: a list, set, array or generator of ids
    user, session     whose history `exclude_seen` leaves out; the server knows them as user_id and session_id too
    exclude_seen      leave out what is in the history: True, or the types of events
    """

    candidates: Iterable[str | int] | None = None
    user: str | int | None = None
    session: str | int | None = None
    exclude_seen: bool | str | Iterable[str] | None = None
    user_id: str | int | None = None
    session_id: str | int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Popular(ShelfQuestion):
    """What is chosen most, by all events."""

    kind: ClassVar[str] = "popular"


@dataclass(frozen=True, slots=True, kw_only=True)
class Trending(ShelfQuestion):
    """What is chosen more than usual lately; the answer's `fallback` is "popular" where nothing is."""

    kind: ClassVar[str] = "trending"


@dataclass(frozen=True, slots=True, kw_only=True)
class Latest(ShelfQuestion):
    """The items that were written last."""

    kind: ClassVar[str] = "latest"


@dataclass(frozen=True, slots=True)
class BoughtTogether(ShelfQuestion):
    """What people who took an item took too."""

    kind: ClassVar[str] = "bought_together"

    item: str | int


@dataclass(frozen=True, slots=True, kw_only=True)
class RankedQuestion(Question):
    """What questions that a model answers may say.

    candidates        rank these items only: a list, set, array or generator of ids
    min_score         leave out items of a lower score
    diversity         how much the items of a page differ from each other, from 0 to 1
    explain           add an explanation to every item
    guidance          join what words, clicks and people's habits say with the model, which servers do unless they are
                      set up otherwise; False: the model alone
    """

    candidates: Iterable[str | int] | None = None
    min_score: float | None = None
    diversity: float | None = None
    explain: bool | None = None
    guidance: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PersonalQuestion(RankedQuestion):
    """What searches and recommendations may say.

    user, session     whose history to read; a session is what a visitor's events were recorded under; the server knows
                      them as user_id and session_id too
    history           instead: what a visitor looked at, oldest first, item ids or `Seen`
    exclude_seen      leave out what is in the history: all of it, or the items of events of these types, as in
                      ["purchase", "cart"]
    """

    user: str | int | None = None
    session: str | int | None = None
    history: Iterable[str | int | Seen] | None = None
    exclude_seen: bool | str | Iterable[str] | None = None
    user_id: str | int | None = None
    session_id: str | int | None = None


@dataclass(frozen=True, slots=True)
class Search(PersonalQuestion):
    """The items that fit what was typed, `q`, or all for "*"; with a history, those that fit both.

    `correct`: mend misspelt words. `understand`: read prices in it as a filter. `prefix`: read the last word as the
    beginning of one, too.
    """

    kind: ClassVar[str] = "search"

    q: str
    correct: bool | None = dataclasses.field(default=None, kw_only=True)
    understand: bool | None = dataclasses.field(default=None, kw_only=True)
    prefix: bool | None = dataclasses.field(default=None, kw_only=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Recommend(PersonalQuestion):
    """The items that a user, a session or a history asks for; one of the three has to be given."""

    kind: ClassVar[str] = "recommend"


@dataclass(frozen=True, slots=True)
class Similar(RankedQuestion):
    """Items like one of the catalog, `item`."""

    kind: ClassVar[str] = "similar"

    item: str | int


@dataclass(frozen=True, slots=True)
class Basket(RankedQuestion):
    """Items like those of a basket, `items`, 1 to 100, the newest last."""

    kind: ClassVar[str] = "basket"

    items: Iterable[str | int]


def _visit(value: Any, where: str) -> Any:
    if not isinstance(value, Seen):
        return plain_id(value, where)
    item = {"item_id": plain_id(value.item_id, f"{where}.item_id")}
    told = {name: plain(getattr(value, name), f"{where}.{name}") for name in ("query", "type")}
    return item | {name: text for name, text in told.items() if text is not None}


def _pins(value: Any, where: str) -> Any:
    if isinstance(value, str):
        return plain(value, where)
    pairs = value.items() if isinstance(value, Mapping) else elements(value, where)
    return [_pin(pair, f"{where}[{place}]") for place, pair in enumerate(pairs)]


def _pin(pair: Any, where: str) -> str:
    """As text, which both URLs and bodies have."""
    if isinstance(pair, str):
        return pair
    try:
        item_id, position = pair
    except (TypeError, ValueError) as error:
        raise InvalidArgument(f"{where} is no pair of an id and its place, as in ('ID', 1)") from error
    return f"{plain_id(item_id, where)}:{plain(position, where)}"


IDS = ("user", "session", "user_id", "session_id", "item")
READERS: dict[str, Callable[[Any, str], Any]] = dict.fromkeys(IDS, plain_id)
READERS |= {
    "candidates": plain_ids,
    "items": partial(plain_list, element=plain_id, ordered=True),
    "hidden_hits": plain_ids,
    "pinned_hits": _pins,
    "override_tags": plain_list,
    "fields": plain_list,
    "facets": plain_list,
    "exclude_seen": lambda value, where: value if isinstance(value, bool) else plain_list(value, where),
    "history": partial(plain_list, element=_visit, ordered=True),
}
