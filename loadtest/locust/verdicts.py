"""What is wrong with an answer, judged by the stock and the ledger alone: not by anything else the server says."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from loadtest.locust.asked import Asked
from loadtest.locust.conditions import Record
from loadtest.locust.ledger import Entry, Ledger
from loadtest.locust.stock import Interval, Stock

__all__ = ["Fault", "judge_answer", "judge_history", "judge_item", "judge_receipt"]

CODES = {
    "search": {"query", "query_and_history"},
    "recommend": {"history", "general"},
    "similar": {"similar"},
}
NOT_COLUMNS = {"score", "reason", "explanation"}
ALWAYS_SHOWN = {"id"}
ROUNDING = 1e-3
ALWAYS_FURTHER = 100
"""Items on all pages together; until then there is room for a cursor in a URL."""


@dataclass(frozen=True, slots=True)
class Fault:
    """rule: one of a few words, by which faults are counted. detail: for whoever looks for the reason."""

    rule: str
    detail: str


def judge_answer(asked: Asked, body: dict[str, Any], during: Interval, stock: Stock, ledger: Ledger) -> list[Fault]:
    """Everything that is wrong with an answer to a question. A degraded one need not know a history."""
    items = body["items"]
    faults = [*_judge_list(asked, items), *_judge_page(asked, body)]
    for item in items:
        faults += _judge_shown(asked, item, during, stock)
    surely_seen, maybe_seen = _seen(asked, during, ledger, degraded=body["degraded"])
    faults += [
        Fault("seen", f"{item['id']} was in the history and is shown") for item in items if item["id"] in surely_seen
    ]
    faults += _judge_count(asked, items, during, stock, surely_seen, maybe_seen)
    if body["degraded"] and not asked.people:
        faults.append(Fault("degraded", "degraded, though no history was to be read"))
    return faults + list(_judge_reasons(asked, items, ledger))


def judge_item(item_id: str, status: int, body: dict[str, Any], during: Interval, stock: Stock) -> list[Fault]:
    """Of GET /items/{id}, which answers 404 for what is not there."""
    states = stock.states(item_id, during)
    if status == 404:
        return [] if None in states or not states else [Fault("missing", f"{item_id} is in the catalog, yet 404")]
    return [] if body in states else [Fault("record", f"{item_id} is shown as {body}, was {states}")]


def judge_history(user: str, limit: int, body: dict[str, Any], began: float, ledger: Ledger) -> list[Fault]:
    """Of GET /users/{id}/history: this user's events, as they were sent, all of them that fit, the newest first."""
    shown = body["events"]
    possible = {entry.event_id: entry for entry in ledger.possible(user)}
    faults = [fault for event in shown for fault in _judge_event(user, event, possible)]
    if any(first["timestamp"] < second["timestamp"] for first, second in pairwise(shown)):
        faults.append(Fault("order", f"{user}'s events are not the newest first"))
    if len({event["event_id"] for event in shown}) < len(shown):
        faults.append(Fault("distinct", f"{user}'s history has an event twice"))
    if len(shown) > limit:
        faults.append(Fault("count", f"{len(shown)} events of {user}, asked for {limit}"))
    oldest = shown[-1]["timestamp"] if len(shown) == limit else -math.inf
    there = {event["event_id"] for event in shown}
    due = [entry for entry in ledger.certain(user, began) if entry.timestamp >= oldest]
    faults += [
        Fault("lost event", f"{entry.event_id} of {user} was acknowledged and is not in the history")
        for entry in due
        if entry.event_id not in there
    ]
    return faults


def judge_receipt(entries: Sequence[Entry], repeated: set[str], body: dict[str, Any]) -> list[Fault]:
    """Of POST /events. repeated: ids of events that were acknowledged before."""
    rows = sorted(body["accepted"], key=lambda row: row["index"])
    if body["rejected"]:
        return [Fault("rejected", f"events were rejected: {body['rejected']}")]
    expected = [(n, entry.event_id, entry.event_id in repeated) for n, entry in enumerate(entries)]
    found = [(row["index"], row["event_id"], row["duplicate"]) for row in rows]
    return [] if found == expected else [Fault("receipt", f"expected {expected}, acknowledged {found}")]


def _judge_list(asked: Asked, items: list[Record]) -> Iterator[Fault]:
    ids = [item["id"] for item in items]
    if len(set(ids)) < len(ids):
        yield Fault("distinct", f"an item is there twice: {ids}")
    overlap = set(ids) & set(asked.shown)
    if overlap:
        yield Fault("page", f"on a page before already: {sorted(overlap)}")
    if asked.candidates is not None and not set(ids) <= set(asked.candidates):
        yield Fault("candidates", f"not among the candidates: {sorted(set(ids) - set(asked.candidates))}")
    if any(first["score"] < second["score"] for first, second in pairwise(items)):
        yield Fault("order", f"the scores rise: {[item['score'] for item in items]}")


def _judge_page(asked: Asked, body: dict[str, Any]) -> Iterator[Fault]:
    shown = len(body["items"])
    further = body["next_cursor"] is not None
    if further and shown < asked.k:
        yield Fault("cursor", f"a cursor after {shown} of {asked.k} items")
    if not further and shown == asked.k and len(asked.shown) + shown < ALWAYS_FURTHER:
        yield Fault("cursor", f"no cursor after {shown} items, all that were asked for")


def _judge_shown(asked: Asked, item: Record, during: Interval, stock: Stock) -> Iterator[Fault]:
    states = stock.states(item["id"], during)
    there = [record for record in states if record is not None and record["available"]]
    if not states:
        yield Fault("unknown item", f"{item['id']} is no item")
    elif not there:
        yield Fault("gone item", f"{item['id']} was deleted or unavailable before the question")
    elif asked.condition is not None and not any(asked.condition.holds(record) for record in there):
        yield Fault("filter", f"{item['id']} does not meet {asked.condition.text}")
    elif not any(_columns(asked, item) == _wanted(asked, record) for record in there):
        yield Fault("record", f"{item['id']} is shown as {_columns(asked, item)}, was {there}")
    if asked.explain:
        product = math.prod(level["probability"] for level in item["explanation"]["levels"])
        if abs(product - math.exp(item["score"])) > ROUNDING:
            yield Fault("explanation", f"{item['id']} scores {item['score']}, its levels give {product}")


def _columns(asked: Asked, item: Record) -> Record:
    return {name: value for name, value in item.items() if name not in NOT_COLUMNS}


def _wanted(asked: Asked, record: Record) -> Record:
    if asked.fields is None:
        return record
    return {name: value for name, value in record.items() if name in ALWAYS_SHOWN | set(asked.fields)}


def _seen(asked: Asked, during: Interval, ledger: Ledger, *, degraded: bool) -> tuple[set[str], set[str]]:
    """Items that are excluded, and those that may be, because of the histories."""
    if asked.about is not None:
        return {asked.about}, {asked.about}
    if not asked.exclude_seen:
        return set(), set()
    if asked.past is not None:
        return set(asked.past), set(asked.past)
    surely = {entry.item_id for person in asked.people for entry in ledger.certain(person, during.begin)}
    maybe = {entry.item_id for person in asked.people for entry in ledger.possible(person)}
    return (set() if degraded else surely), maybe


def _judge_count(
    asked: Asked, items: list[Record], during: Interval, stock: Stock, surely_seen: set[str], maybe_seen: set[str]
) -> Iterator[Fault]:
    shown = set(asked.shown)
    least, most = stock.bounds(
        during,
        asked.condition,
        surely_out=surely_seen | shown,
        maybe_out=maybe_seen | shown,
        among=asked.candidates,
    )
    if not min(asked.k, least) <= len(items) <= min(asked.k, most):
        bounds = f"{min(asked.k, least)} to {min(asked.k, most)}"
        yield Fault("count", f"{len(items)} items, {bounds} may be shown of {asked.parameters()}")


def _judge_reasons(asked: Asked, items: list[Record], ledger: Ledger) -> Iterator[Fault]:
    if asked.about is not None:
        own = {asked.about}
    elif asked.past is not None:
        own = set(asked.past)
    else:
        own = {entry.item_id for person in asked.people for entry in ledger.possible(person)}
    allowed = CODES[asked.kind]
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


def _judge_event(user: str, event: dict[str, Any], possible: dict[str, Entry]) -> Iterator[Fault]:
    entry = possible.get(event["event_id"])
    if entry is None:
        yield Fault("strange history", f"{user}'s history has {event}, which {user} did not do")
        return
    sent = {"item_id": entry.item_id, "query": entry.query, "type": entry.kind, "timestamp": entry.timestamp}
    if any(event[name] != value for name, value in sent.items()):
        yield Fault("event", f"{user}'s history has {event}, sent was {sent}")
