"""The checks of an answer against the expected catalog and the expected histories."""

import functools
import math
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

from catalog.text.prompts import Task
from loadtest.locust.oracle.expected_catalog import Allowed, ExpectedCatalog, Interval
from loadtest.locust.oracle.expected_history import ExpectedHistories, SentEvent
from loadtest.locust.oracle.expected_prior import ExpectedPrior
from loadtest.locust.oracle.facet_checks import check_facets, surely_matches
from loadtest.locust.oracle.fault import Fault
from loadtest.locust.oracle.filter_cases import ItemRecord
from loadtest.locust.oracle.order_checks import check_left_out, check_order
from loadtest.locust.oracle.query import Query

__all__ = ["check_answer", "check_history", "check_item", "check_receipt"]

REASON_CODES = {
    "search": {"query", "query_and_history"},
    "recommend": {"history", "general"},
    "similar": {"similar"},
    "browse": {"general"},
}
"""Codes that the reason of an answer's item may have, by the kind of query."""
TOLERANCE_OF_SHARES = 1e-3
NOT_COLUMNS = {"score", "relevance", "reason", "matched", "explanation"}
ALWAYS_SHOWN = {"id"}
ROUNDING = 1e-3
ITEMS_WITH_CURSOR = 100
"""Items on all pages together up to which a full page must have a cursor: it still fits into a URL."""


def check_answer(
    query: Query,
    body: dict[str, Any],
    during: Interval,
    catalog: ExpectedCatalog,
    histories: ExpectedHistories,
    prior: ExpectedPrior | None = None,
) -> list[Fault]:
    """All faults of an answer to a query. A degraded answer need not know a stored history, nor be guided.

    prior: what guides the server's searches; None where its bundle has no priors.
    """
    items = body["items"]
    faults = [*_check_list(query, items), *_check_relevances(query, items), *_check_page(query, body)]
    for item in items:
        faults += [*_check_shown(query, item, during, catalog), *_check_matched(item)]
    seen, possibly_seen = _seen(query, during, histories, degraded=body["degraded"])
    faults += [Fault("seen", f"{item['id']} was in the history and is shown") for item in items if item["id"] in seen]
    if query.counted:
        faults += _check_counted(query, body, during, catalog, seen, possibly_seen)
    if not (query.kind == "search" and query.sort_by and body["total_is"] == "matching"):  # it shows what matches only
        faults += _check_count(query, items, during, catalog, seen, possibly_seen)
    guided = prior is not None and query.guidance is not False
    if body["degraded"] and not query.stored_histories and not guided:
        faults.append(Fault("degraded", "degraded, though no history was to be read and nothing guides the search"))
    if query.explain:
        told = not catalog.edited and not histories.begun
        faults += _check_scores(query, body, prior if guided else None, told=told)
    return faults + list(_check_reasons(query, items, histories))


def check_item(
    item_id: str, status: int, body: dict[str, Any], during: Interval, catalog: ExpectedCatalog
) -> list[Fault]:
    """All faults of an answer to GET /items/{id}, which is 404 for an item that is not in the catalog."""
    states = catalog.states(item_id, during)
    if status == 404:
        return [] if None in states or not states else [Fault("missing", f"{item_id} is in the catalog, yet 404")]
    return [] if body in states else [Fault("record", f"{item_id} is shown as {body}, was {states}")]


def check_history(
    user: str, limit: int, body: dict[str, Any], began: float, histories: ExpectedHistories
) -> list[Fault]:
    """All faults of an answer to GET /users/{id}/history: the user's newest events, as they were sent, newest first."""
    shown = body["events"]
    possible = {sent.event_id: sent for sent in histories.possible(user)}
    faults = [fault for event in shown for fault in _check_event(user, event, possible)]
    if any(first["timestamp"] < second["timestamp"] for first, second in pairwise(shown)):
        faults.append(Fault("order", f"{user}'s events are not the newest first"))
    if len({event["event_id"] for event in shown}) < len(shown):
        faults.append(Fault("distinct", f"{user}'s history has an event twice"))
    if len(shown) > limit:
        faults.append(Fault("count", f"{len(shown)} events of {user}, asked for {limit}"))
    oldest = shown[-1]["timestamp"] if len(shown) == limit else -math.inf
    there = {event["event_id"] for event in shown}
    due = [sent for sent in histories.certain(user, began) if sent.timestamp >= oldest]
    faults += [
        Fault("lost event", f"{sent.event_id} of {user} was acknowledged and is not in the history")
        for sent in due
        if sent.event_id not in there
    ]
    return faults


def check_receipt(events: Sequence[SentEvent], repeated: set[str], body: dict[str, Any]) -> list[Fault]:
    """All faults of an answer to POST /events.

    repeated: ids of events that were acknowledged before.
    """
    rows = sorted(body["accepted"], key=lambda row: row["index"])
    if body["rejected"]:
        return [Fault("rejected", f"events were rejected: {body['rejected']}")]
    expected = [(n, event.event_id, event.event_id in repeated) for n, event in enumerate(events)]
    found = [(row["index"], row["event_id"], row["duplicate"]) for row in rows]
    return [] if found == expected else [Fault("receipt", f"expected {expected}, acknowledged {found}")]


def _check_list(query: Query, items: list[ItemRecord]) -> Iterator[Fault]:
    ids = [item["id"] for item in items]
    if len(set(ids)) < len(ids):
        yield Fault("distinct", f"an item is there twice: {ids}")
    overlap = set(ids) & set(query.shown)
    if overlap:
        yield Fault("page", f"on a page before already: {sorted(overlap)}")
    if query.candidates is not None and not set(ids) <= set(query.candidates):
        yield Fault("candidates", f"not among the candidates: {sorted(set(ids) - set(query.candidates))}")
    yield from check_order(query, items)


def _check_relevances(query: Query, items: list[ItemRecord]) -> Iterator[Fault]:
    relevances = [item["relevance"] for item in items]
    if all(relevance is None for relevance in relevances):
        return  # the bundle has not learned it
    if None in relevances:
        yield Fault("relevance", f"some items of an answer have none: {relevances}")
        return
    if not all(0 <= relevance <= 1 for relevance in relevances):
        yield Fault("relevance", f"not from 0 to 1: {relevances}")
    if not query.sort_by and any(first < second for first, second in pairwise(relevances)):
        yield Fault("relevance", f"it rises while the scores fall: {relevances}")


def _check_page(query: Query, body: dict[str, Any]) -> Iterator[Fault]:
    shown = len(body["items"])
    has_cursor = body["next_cursor"] is not None
    if has_cursor and shown < query.k:
        yield Fault("cursor", f"a cursor after {shown} of {query.k} items")
    if not has_cursor and shown == query.k and len(query.shown) + shown < ITEMS_WITH_CURSOR:
        yield Fault("cursor", f"no cursor after {shown} items, all that were asked for")


def _check_shown(query: Query, item: ItemRecord, during: Interval, catalog: ExpectedCatalog) -> Iterator[Fault]:
    states = catalog.states(item["id"], during)
    there = [record for record in states if record is not None and record["available"]]
    if not states:
        yield Fault("unknown item", f"{item['id']} is no item")
    elif not there:
        yield Fault("gone item", f"{item['id']} was deleted or unavailable before the query")
    elif query.filter is not None and not any(query.filter.matches(record) for record in there):
        yield Fault("filter", f"{item['id']} does not meet {query.filter.text}")
    elif not any(_columns(item) == _wanted(query, record) for record in there):
        yield Fault("record", f"{item['id']} is shown as {_columns(item)}, was {there}")


def _check_scores(query: Query, body: dict[str, Any], prior: ExpectedPrior | None, *, told: bool) -> Iterator[Fault]:
    """The scores of explained items must follow from their levels and, where it is given, from the prior.

    told: whether it is known what guides a search. Any event and any change of an item alters it, for everybody, and
      one under way may have done so or not.
    """
    past: Sequence[str] = (query.item,) if query.item is not None else query.history or ()
    if prior is not None and not told:
        return
    understood = body.get("understood") or {}
    text = None if query.q is None else body.get("corrected_query") or understood.get("query") or query.q
    task: Task = "search" if query.kind == "search" else "recommendation"
    for item in body["items"]:
        shares = item["explanation"].get("shares")
        if shares is not None and abs(sum(shares.values()) - item["score"]) > TOLERANCE_OF_SHARES:
            yield Fault("shares", f"{item['id']} scores {item['score']}, its shares are {shares}")
        logp = sum(math.log(level["probability"]) for level in item["explanation"]["levels"])
        may = [logp] if prior is None or body["degraded"] else []
        may += [] if prior is None else [prior.score(task, text, past, item["id"], logp)]
        if not any(math.isclose(item["score"], score, rel_tol=ROUNDING, abs_tol=ROUNDING) for score in may):
            yield Fault(
                "explanation", f"{item['id']} scores {item['score']}, its levels give {' or '.join(map(str, may))}"
            )


def _columns(item: ItemRecord) -> ItemRecord:
    return {name: value for name, value in item.items() if name not in NOT_COLUMNS}


def _wanted(query: Query, record: ItemRecord) -> ItemRecord:
    if query.fields is None:
        return record
    return {name: value for name, value in record.items() if name in ALWAYS_SHOWN | set(query.fields)}


def _seen(query: Query, during: Interval, histories: ExpectedHistories, *, degraded: bool) -> tuple[set[str], set[str]]:
    """The items that are excluded because of the histories, and those that may be."""
    if query.item is not None:
        return {query.item}, {query.item}
    types = query.seen_types
    if query.history is not None:
        views = set(query.history) if "view" in types else set()
        return views, views
    certain = [event for name in query.stored_histories for event in histories.certain(name, during.begin)]
    possible = [event for name in query.stored_histories for event in histories.possible(name)]
    seen, possibly_seen = ({event.item_id for event in events if event.kind in types} for events in (certain, possible))
    if query.kind == "recommend":
        possibly_seen |= {event.item_id for event in possible if event.kind == "dislike"}
        seen |= {
            event.item_id
            for event in certain
            if event.kind == "dislike"
            and all(other.timestamp <= event.timestamp for other in possible if other.item_id == event.item_id)
        }
    return (set() if degraded else seen), possibly_seen


def _check_matched(item: ItemRecord) -> Iterator[Fault]:
    for match in item.get("matched") or ():
        text = item.get(match["field"])
        if isinstance(text, list):
            text = text[match["index"]]
        if match["field"] in item and not 0 <= match["start"] < match["end"] <= len(text or ""):
            yield Fault("matched", f"{item['id']} has {text!r}, in which nothing stands at {match}")


def _check_count(
    query: Query,
    items: list[ItemRecord],
    during: Interval,
    catalog: ExpectedCatalog,
    seen: set[str],
    possibly_seen: set[str],
) -> Iterator[Fault]:
    shown = set(query.shown)
    least, most = catalog.count_bounds(
        during,
        query.filter,
        excluded=seen | shown,
        possibly_excluded=possibly_seen | shown,
        candidates=query.candidates,
    )
    if not min(query.k, least) <= len(items) <= min(query.k, most):
        bounds = f"{min(query.k, least)} to {min(query.k, most)}"
        yield Fault("count", f"{len(items)} items, {bounds} may be shown of {query.parameters()}")


def _check_counted(
    query: Query,
    body: dict[str, Any],
    during: Interval,
    catalog: ExpectedCatalog,
    seen: set[str],
    possibly_seen: set[str],
) -> Iterator[Fault]:
    """The faults of counts and of an order by columns, which take all items that the query allows."""

    @functools.cache
    def allowed_by(column: str | None) -> list[Allowed]:
        case = query.filter if column is None or query.filter is None else query.filter.without(column)
        bounds = {"excluded": seen, "possibly_excluded": possibly_seen}
        return catalog.allowed(during, case, **bounds, candidates=query.candidates)

    items, total = body["items"], body["total"]
    yield from check_facets(query, body, allowed_by)
    if body["total_is"] == "answer" or not query.sort_by:
        return
    if not min(query.k, total - len(query.shown)) <= len(items) <= min(query.k, total):
        yield Fault("count", f"{len(items)} of {total} items that are sorted, after {len(query.shown)}")
    yield from check_left_out(query, items, allowed_by(None), lambda record: surely_matches(query, body, record))


def _check_reasons(query: Query, items: list[ItemRecord], histories: ExpectedHistories) -> Iterator[Fault]:
    if query.item is not None:
        own = {query.item}
    elif query.history is not None:
        own = set(query.history)
    else:
        own = {event.item_id for name in query.stored_histories for event in histories.possible(name)}
    allowed = REASON_CODES[query.kind]
    if not own:
        allowed = allowed & {"query", "general"}
    for item in items:
        reason = item["reason"]
        if reason["code"] not in allowed:
            yield Fault("reason", f"{item['id']} is there for {reason['code']}, may be for {sorted(allowed)}")
        if reason["item"] is not None and reason["item"] not in own:
            yield Fault(
                "strange history", f"{item['id']} is there for {reason['item']}, which is in no history of theirs"
            )


def _check_event(user: str, event: dict[str, Any], possible: dict[str, SentEvent]) -> Iterator[Fault]:
    sent = possible.get(event["event_id"])
    if sent is None:
        yield Fault("strange history", f"{user}'s history has {event}, which {user} did not do")
        return
    expected = {"item_id": sent.item_id, "query": sent.query, "type": sent.kind, "timestamp": sent.timestamp}
    if any(event[name] != value for name, value in expected.items()):
        yield Fault("event", f"{user}'s history has {event}, sent was {expected}")
