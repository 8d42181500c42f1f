"""Every request that the client can make, as data: where it goes, whether it may be repeated, how its answer is read.

Nothing here does any I/O. The functions make up the methods of both clients, which take their signatures and
docstrings from here.
"""

from __future__ import annotations

import datetime
import functools
import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from itertools import islice
from typing import Any, Generic, NoReturn, ParamSpec, TypeVar
from urllib.parse import quote

from gemserve_client import responses
from gemserve_client.errors import ApiError, InvalidArgument, UnexpectedAnswer
from gemserve_client.events import MAX_EVENTS, Event, event_of
from gemserve_client.queries import (
    Basket,
    BoughtTogether,
    Browse,
    Latest,
    Popular,
    Question,
    Recommend,
    Search,
    Similar,
    Trending,
)
from gemserve_client.responses import Answer, Item, Key, NewKey, Receipt, Rejected
from gemserve_client.values.decode import read, read_list
from gemserve_client.values.plain import elements, plain, plain_id, plain_list, plain_record

__all__ = ["Call", "Repeat", "describe"]

P = ParamSpec("P")
T = TypeVar("T")

ACTIVATION_SECONDS = 600.0  # a model of some size takes minutes to load


class Repeat(Enum):
    """When a call may be made again after it failed."""

    HARMLESS = "a second time changes nothing"
    UNDONE = "only where it was surely not carried out"
    NEVER = "the caller wants to know about now"


def refuse(error: ApiError) -> NoReturn:
    raise error


@dataclass(frozen=True, slots=True)
class Call(Generic[T]):
    """One request.

    `read` makes what is returned of the answer's JSON, which is None for an empty body; `rescue` makes it of an error,
    or raises the error.
    """

    method: str
    path: str
    read: Callable[[Any], T]
    query: Mapping[str, Any] = field(default_factory=dict)
    body: object = None
    repeat: Repeat = Repeat.HARMLESS
    rescue: Callable[[ApiError], T] = refuse
    read_seconds: float | None = None  # instead of the client's own


def describe(method: Callable[..., Any], make: Callable[..., Any]) -> None:
    """Gives a method the name, docstring and signature of the function that makes its call."""
    functools.update_wrapper(method, make)
    parameters = inspect.signature(make).parameters.values()
    this = inspect.Parameter("self", inspect.Parameter.POSITIONAL_ONLY)
    vars(method)["__signature__"] = inspect.Signature([this, *parameters])


def asking(kind: Callable[P, Question], name: str | None = None) -> Callable[P, Call[Answer]]:
    """A function that takes what a kind of question takes. name: of the function; None for that of the kind."""

    def call(*arguments: P.args, **options: P.kwargs) -> Call[Answer]:
        return ask(kind(*arguments, **options))

    functools.update_wrapper(call, kind)
    call.__name__ = call.__qualname__ = name or call.__name__.lower()
    return call


def ask(question: Question) -> Call[Answer]:
    if isinstance(question, Similar):
        query = {name: value for name, value in question.parameters().items() if name != "item"}
        return Call("GET", f"/items/{_quoted(question.item, 'item')}/similar", _reading(Answer), query)
    if isinstance(question, BoughtTogether):
        query = {name: value for name, value in question.parameters().items() if name != "item"}
        return Call("GET", f"/items/{_quoted(question.item, 'item')}/bought-together", _reading(Answer), query)
    if isinstance(question, Popular | Trending | Latest):
        return Call("GET", f"/{question.kind}", _reading(Answer), question.parameters())
    if isinstance(question, Basket):
        return Call("POST", "/similar", _reading(Answer), body=question.parameters())
    if isinstance(question, Browse):
        return Call("GET", "/items", _reading(Answer), question.parameters())
    return Call("POST", f"/{question.kind}", _reading(Answer), body=question.parameters())


search = asking(Search)
recommend = asking(Recommend)
similar = asking(Similar)
browse = asking(Browse)
popular = asking(Popular)
trending = asking(Trending)
latest = asking(Latest)
bought_together = asking(BoughtTogether, "bought_together")
similar_to_basket = asking(Basket, "similar_to_basket")


def following(question: Question, answer: Answer) -> Question | None:
    """The question for the next page, if there is one."""
    return None if answer.next_cursor is None else replace(question, cursor=answer.next_cursor)


def events(sent: Iterable[Event | Mapping[str, Any]]) -> Iterator[Call[Receipt] | Receipt]:
    """One request for every 1,000. A receipt's indexes are places in the whole of what is sent.

    Events that cannot be sent are in the receipts, as rejected; between requests there may be a receipt of only such.
    """
    if isinstance(sent, Event | Mapping):
        sent = [sent]
    rows = enumerate(sent if isinstance(sent, Iterator) else elements(sent, "events"))
    while part := [(index, _row(index, event)) for index, event in islice(rows, MAX_EVENTS)]:
        refused = [row for _, row in part if isinstance(row, Rejected)]
        places = [index for index, row in part if isinstance(row, dict)]
        if refused:
            yield Receipt(request_ids=(), accepted=(), rejected=tuple(refused))
        if places:
            yield Call(
                "POST",
                "/events",
                functools.partial(_receipt, places),
                body=[row for _, row in part if isinstance(row, dict)],
                rescue=functools.partial(_receipt_of_none, places),
            )


def _row(index: int, event: object) -> dict[str, Any] | Rejected:
    try:
        return event_of(event).parameters()
    except InvalidArgument as error:
        return Rejected(index=index, code="invalid_argument", reason=f"event {index}: {error}", field=error.argument)


def joined(receipts: Sequence[Receipt]) -> Receipt:
    return Receipt(
        request_ids=tuple(name for receipt in receipts for name in receipt.request_ids),
        accepted=tuple(row for receipt in receipts for row in receipt.accepted),
        rejected=tuple(sorted((row for receipt in receipts for row in receipt.rejected), key=lambda row: row.index)),
    )


def item(item_id: str | int) -> Call[Item]:
    """An item of the catalog, whether or not it is available."""
    return Call("GET", f"/items/{_quoted(item_id, 'item_id')}", _reading(Item))


def put_item(item_id: str | int, record: Mapping[str, Any]) -> Call[responses.Change]:
    """Writes a whole item, new or in place of the one there was: what the record leaves out is null."""
    return Call(
        "PUT", f"/items/{_quoted(item_id, 'item_id')}", _reading(responses.Change), body=plain_record(record, "record")
    )


def patch_item(item_id: str | int, changes: Mapping[str, Any]) -> Call[responses.Change]:
    """Changes the named columns of an item, and clears those that are None; the others stay as they are."""
    return Call(
        "PATCH",
        f"/items/{_quoted(item_id, 'item_id')}",
        _reading(responses.Change),
        body=plain_record(changes, "changes"),
    )


def put_items(records: Iterable[Mapping[str, Any]]) -> Call[responses.Change]:
    """Writes 1 to 1,000 whole items, each with its `id`: all of them or, if one is not acceptable, none."""
    return Call("POST", "/items", _reading(responses.Change), body=plain_list(records, "records", plain_record))


def delete_item(item_id: str | int) -> Call[responses.Change]:
    """Takes an item out of all answers. Raises NotFound also where a first attempt did it and its answer got lost."""
    return Call("DELETE", f"/items/{_quoted(item_id, 'item_id')}", _reading(responses.Change))


def suggest(
    q: str = "",
    *,
    k: int | None = None,
    kinds: Iterable[str] | None = None,
    filter: str | None = None,  # noqa: A002 the server's name
) -> Call[responses.Suggestions]:
    """What somebody may want who has begun to type; of nothing typed, what is popular.

    k: of each kind at most. kinds: those of `queries`, `categories` and `items` that are wanted.
    """
    given = {"q": q, "k": k, "filter": filter}
    query = {name: plain(value, name) for name, value in given.items() if value is not None}
    if kinds is not None:
        query["kinds"] = ",".join(plain_list(kinds, "kinds", plain))
    return Call("GET", "/suggest", _reading(responses.Suggestions), query)


def rerank(
    query: str,
    documents: Iterable[str | int | Mapping[str, Any]],
    *,
    top_n: int | None = None,
    return_documents: bool | None = None,
    user: str | int | None = None,
    session: str | int | None = None,
    timeout_ms: int | None = None,
) -> Call[responses.Reranking]:
    """1 to 1,000 documents in the order in which they fit a query: ids or titles of items, other texts, or mappings
    with an `id`, a `text` or both."""
    given = {"query": query, "top_n": top_n, "return_documents": return_documents, "timeout_ms": timeout_ms}
    body = {name: plain(value, name) for name, value in given.items() if value is not None}
    body |= {
        name: plain_id(value, name) for name, value in {"user": user, "session": session}.items() if value is not None
    }
    body["documents"] = plain_list(documents, "documents", ordered=True)
    return Call("POST", "/v1/rerank", _reading(responses.Reranking), body=body)


def put_synonyms(
    set_id: str | int, synonyms: Iterable[str], *, root: str | None = None
) -> Call[responses.SynonymsWritten]:
    """Has searches read words and phrases as each other, or only `root` as the others, in every server."""
    body: dict[str, Any] = {"synonyms": plain_list(synonyms, "synonyms", plain)}
    if root is not None:
        body["root"] = plain(root, "root")
    path = f"/synonyms/{_quoted(set_id, 'set_id')}"
    return Call("PUT", path, _reading(responses.SynonymsWritten), body=body)


def synonyms(
    *, limit: int | None = None, cursor: str | None = None, q: str | None = None
) -> Call[responses.SynonymsPage]:
    """The sets of synonyms by their ids; `cursor`: `next_cursor` of the page before. `q`: only those that have these
    letters in their id or in what they are about."""
    given = {"limit": limit, "cursor": cursor, "q": q}
    query = {name: plain(value, name) for name, value in given.items() if value is not None}
    return Call("GET", "/synonyms", _reading(responses.SynonymsPage), query)


def synonym_set(set_id: str | int) -> Call[responses.SynonymSet]:
    """One set of synonyms."""
    return Call("GET", f"/synonyms/{_quoted(set_id, 'set_id')}", _reading(responses.SynonymSet))


def delete_synonyms(set_id: str | int) -> Call[responses.SynonymsDeleted]:
    """Takes a set of synonyms away. Raises NotFound also where a first attempt did it and its answer got lost."""
    return Call("DELETE", f"/synonyms/{_quoted(set_id, 'set_id')}", _reading(responses.SynonymsDeleted))


def schema() -> Call[responses.Schema]:
    """The columns of the catalog, and how many items have a value in each."""
    return Call("GET", "/schema", _reading(responses.Schema))


def patch_schema(*, add: Mapping[str, str] | None = None, drop: Iterable[str] = ()) -> Call[responses.SchemaChanged]:
    """Gives the catalog further columns, which count at once, and takes empty ones of these away: all or none.

    add: types by name, such as `{"fragile": "bool"}`. Raises ApiError with the code `column_conflict` where a column
    cannot be changed so; of one to drop also where a first attempt dropped it and its answer got lost.
    """
    added = [{"name": name, "type": plain(kind, "add")} for name, kind in plain_record(add or {}, "add").items()]
    dropped = [{"name": name, "drop": True} for name in plain_list(drop, "drop", plain)]
    return Call("PATCH", "/schema", _reading(responses.SchemaChanged), body={"columns": added + dropped})


def put_override(override_id: str | int, override: Mapping[str, Any]) -> Call[responses.OverrideWritten]:
    """Pins, hides, filters or boosts items in the answers to queries that meet a rule, in every server.

    override: `rule`, and of `includes`, `excludes`, `filter_by`, `boost`, `priority`, `starts_at`, `ends_at` what is
    wanted, as in {"rule": {"query": "tent"}, "includes": [{"id": "CAM-0011", "position": 1}]}.
    """
    path = f"/overrides/{_quoted(override_id, 'override_id')}"
    return Call("PUT", path, _reading(responses.OverrideWritten), body=plain_record(override, "override"))


def overrides(
    *, limit: int | None = None, cursor: str | None = None, q: str | None = None
) -> Call[responses.OverridesPage]:
    """The overrides by their ids; `cursor`: `next_cursor` of the page before. `q`: only those that have these
    letters in their id or in what they are about."""
    given = {"limit": limit, "cursor": cursor, "q": q}
    query = {name: plain(value, name) for name, value in given.items() if value is not None}
    return Call("GET", "/overrides", _reading(responses.OverridesPage), query)


def override(override_id: str | int) -> Call[responses.Override]:
    """One override."""
    return Call("GET", f"/overrides/{_quoted(override_id, 'override_id')}", _reading(responses.Override))


def delete_override(override_id: str | int) -> Call[responses.OverrideDeleted]:
    """Takes an override away. Raises NotFound also where a first attempt did it and its answer got lost."""
    return Call("DELETE", f"/overrides/{_quoted(override_id, 'override_id')}", _reading(responses.OverrideDeleted))


def history(user: str | int, *, limit: int | None = None) -> Call[responses.History]:
    """What a user did, the newest first; nobody knows an unknown user, whose history is empty."""
    query = {} if limit is None else {"limit": plain(limit, "limit")}
    return Call("GET", f"/users/{_quoted(user, 'user')}/history", _reading(responses.History), query)


def merge(user: str | int, session: str | int) -> Call[responses.Merge]:
    """Moves what was recorded under a session into a user's history. A second time moves nothing."""
    return Call(
        "POST",
        f"/users/{_quoted(user, 'user')}/merge",
        _reading(responses.Merge),
        body={"session": plain_id(session, "session")},
    )


def erase(user: str | int) -> Call[responses.Erasure]:
    """Forgets everything that a user, and the sessions merged into theirs, did before now."""
    return Call("DELETE", f"/users/{_quoted(user, 'user')}", _reading(responses.Erasure))


def models() -> Call[responses.Models]:
    """The published bundles, and which of them answer."""
    return Call("GET", "/admin/models", _reading(responses.Models))


def model(version: str) -> Call[responses.Model]:
    """One bundle: how it was evaluated beside the baselines, and how far it is where it is about to be served."""
    return Call("GET", f"/admin/models/{_quoted(version, 'version')}", _reading(responses.Model))


def activate(version: str) -> Call[responses.Activation]:
    """Serves another bundle; returns when it does, which can take minutes."""
    return _slow("POST", f"/admin/models/{_quoted(version, 'version')}/activate", responses.Activation)


def roll_back() -> Call[responses.Activation]:
    """Serves the bundle that was served before the last activation."""
    return _slow("POST", "/admin/models/rollback", responses.Activation)


def set_traffic(weights: Mapping[str, int]) -> Call[responses.Traffic]:
    """Has versions share the users among them by weight; returns when all of them answer."""
    return _slow("PUT", "/admin/traffic", responses.Traffic, {"weights": plain_record(weights, "weights")})


def clear_traffic() -> Call[responses.Traffic]:
    """Has the current version answer everybody."""
    return _slow("DELETE", "/admin/traffic", responses.Traffic)


def fleet() -> Call[responses.Fleet]:
    """What the servers of a fleet serve together, and each of them."""
    return Call("GET", "/admin/fleet", _reading(responses.Fleet))


def keys() -> Call[tuple[Key, ...]]:
    """The server's keys, without their secrets."""
    return Call("GET", "/admin/keys", functools.partial(read_list, Key))


def create_key(
    name: str,
    scopes: Iterable[str],
    *,
    rate_per_second: float | None = None,
    burst: int | None = None,
    concurrency: int | None = None,
    expires_at: str | datetime.datetime | None = None,
    filter_by: str | None = None,
    routes: Iterable[str] | None = None,
) -> Call[NewKey]:
    """A new key for the scopes, of read, write and admin, with its own limits if any. Only this answer has the key.

    expires_at: from when on it is no key any more; a time zone is needed.
    filter_by: the only items that it sees, and takes events about.
    routes: the only ones that it opens, such as "POST /search", by which this client asks.
    """
    limits = {
        "rate_per_second": rate_per_second,
        "burst": burst,
        "concurrency": concurrency,
        "expires_at": expires_at,
        "filter_by": filter_by,
    }
    given = {limit: plain(value, limit) for limit, value in limits.items() if value is not None}
    if routes is not None:
        given["routes"] = plain_list(routes, "routes")
    body = {"name": plain(name, "name"), "scopes": plain_list(scopes, "scopes"), **given}
    return Call("POST", "/admin/keys", _reading(NewKey), body=body, repeat=Repeat.UNDONE)


def revoke_key(key_id: str) -> Call[None]:
    """The key opens nothing from now on."""
    return Call("DELETE", f"/admin/keys/{_quoted(key_id, 'key_id')}", lambda _: None)


def audit(*, limit: int | None = None, cursor: str | None = None) -> Call[responses.AuditPage]:
    """The latest changes and who made them, the newest first; `cursor`: `next_cursor` of the page before."""
    given = {"limit": limit, "cursor": cursor}
    query = {name: plain(value, name) for name, value in given.items() if value is not None}
    return Call("GET", "/admin/audit", _reading(responses.AuditPage), query)


def analytics_queries(
    *,
    first: str | datetime.date | None = None,
    last: str | datetime.date | None = None,
    model: str | None = None,
    limit: int | None = None,
    least: int | None = None,
) -> Call[responses.QueriesReport]:
    """What people searched for most, with clicks, conversions and their intervals.

    first, last: days by UTC, both included; 30 of them up to today where nothing is said.
    model: answers of this version only. limit: how many queries. least: intents that a query has at least.
    """
    return _report("queries", responses.QueriesReport, first=first, last=last, model=model, limit=limit, least=least)


def analytics_no_results(
    *,
    first: str | datetime.date | None = None,
    last: str | datetime.date | None = None,
    model: str | None = None,
    limit: int | None = None,
    least: int | None = None,
) -> Call[responses.QueriesReport]:
    """What people searched for and nothing ever fitted. Takes what `analytics_queries` takes."""
    return _report("no-results", responses.QueriesReport, first=first, last=last, model=model, limit=limit, least=least)


def analytics_no_clicks(
    *,
    first: str | datetime.date | None = None,
    last: str | datetime.date | None = None,
    model: str | None = None,
    limit: int | None = None,
    least: int | None = None,
) -> Call[responses.QueriesReport]:
    """What people searched for and never clicked an answer of. Takes what `analytics_queries` takes."""
    return _report("no-clicks", responses.QueriesReport, first=first, last=last, model=model, limit=limit, least=least)


def analytics_metrics(
    *, first: str | datetime.date | None = None, last: str | datetime.date | None = None, model: str | None = None
) -> Call[responses.MetricsReport]:
    """Answers, clicks, positions and conversions by model, kind of answer and day."""
    return _report("metrics", responses.MetricsReport, first=first, last=last, model=model)


def analytics_experiment(
    *,
    first: str | datetime.date | None = None,
    last: str | datetime.date | None = None,
    goal: str | None = None,
) -> Call[responses.Experiment]:
    """Which version's users reach a goal more often, and whether that is decided; look at it as often as you like.

    goal: "click" or "conversion".
    """
    return _report("experiment", responses.Experiment, first=first, last=last, goal=goal)


def version() -> Call[responses.Version]:
    """Which model answers, over which catalog."""
    return Call("GET", "/version", _reading(responses.Version))


def ready() -> Call[responses.Readiness]:
    """Whether the server can answer now. Raises Unavailable, at once, where it cannot."""
    return Call("GET", "/health/ready", _reading(responses.Readiness), repeat=Repeat.NEVER)


def _reading(kind: type[T]) -> Callable[[Any], T]:
    return functools.partial(read, kind)


def _report(name: str, kind: type[T], **asked: Any) -> Call[T]:
    query = {parameter: plain(value, parameter) for parameter, value in asked.items() if value is not None}
    return Call("GET", f"/analytics/{name}", _reading(kind), query)


def _slow(method: str, path: str, kind: type[T], body: object = None) -> Call[T]:
    """A call that loads a model. While a first attempt may still be at it, a second would only be told that it is."""
    return Call(method, path, _reading(kind), body=body, repeat=Repeat.UNDONE, read_seconds=ACTIVATION_SECONDS)


def _receipt(places: Sequence[int], body: Any) -> Receipt:
    """The server's receipt for a part whose events have these places in the whole."""
    rows = read(PartReceipt, body)
    indexes = [*(row.index for row in rows.accepted), *(row.index for row in rows.rejected)]
    if not all(0 <= index < len(places) for index in indexes):
        raise UnexpectedAnswer("the answer tells of events that were not sent")
    return Receipt(
        request_ids=(rows.request_id,),
        accepted=tuple(replace(row, index=places[row.index]) for row in rows.accepted),
        rejected=tuple(replace(row, index=places[row.index]) for row in rows.rejected),
        extra=rows.extra,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class PartReceipt(responses.Body):
    request_id: str
    accepted: tuple[responses.Accepted, ...]
    rejected: tuple[responses.Rejected, ...]


def _receipt_of_none(places: Sequence[int], error: ApiError) -> Receipt:
    """The server answers a problem where no event was acceptable; among many requests that is one row's matter too."""
    if "rejected" not in error.members:
        raise error
    return _receipt(places, {"request_id": error.request_id, "accepted": [], "rejected": error.members["rejected"]})


def _quoted(name: str | int, what: str = "id") -> str:
    return quote(str(plain_id(name, what)), safe="")
