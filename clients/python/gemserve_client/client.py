"""The client that waits; its twin, which awaits, is async_client.py."""

from __future__ import annotations

import contextlib
import random
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from types import TracebackType
from typing import Any, Concatenate, ParamSpec, Self, TypeVar

import httpx

from gemserve_client import endpoints
from gemserve_client.batch import Action, BatchResult, Export, Import, ImportResult, batches, imports
from gemserve_client.config import TIMEOUTS, ClientConfig, Timeouts, new_request_id
from gemserve_client.endpoints import Call
from gemserve_client.errors import ApiError, sendable
from gemserve_client.events import Event
from gemserve_client.queries import Question
from gemserve_client.responses import Answer, Item, Receipt
from gemserve_client.retries import RETRIES, Retries
from gemserve_client.values.decode import parse

__all__ = ["Client"]

P = ParamSpec("P")
T = TypeVar("T")


def method(make: Callable[P, Call[T]]) -> Callable[Concatenate[Client, P], T]:
    """A method that makes a call and returns what it answers."""

    def send(self: Client, /, *arguments: P.args, **options: P.kwargs) -> T:
        return self._send(make(*arguments, **options))

    endpoints.describe(send, make)
    return send


class Client:
    """A server's client; threads may share one. Use it in a `with` statement, or `close` it.

    `compress` has large bodies, such as batches, sent with gzip; answers are compressed either way.
    `request_id` is asked for an id for every request, which the server writes into its log and its answer. `transport`
    is httpx's, for TLS and proxies of your own; `sleep` and `random` are for tests. Every method raises GemserveError,
    and a key that cannot be one InvalidKey at once.
    """

    def __init__(
        self,
        url: str,
        *,
        key: str | None = None,
        timeouts: Timeouts = TIMEOUTS,
        retries: Retries = RETRIES,
        compress: bool = False,
        request_id: Callable[[], str] = new_request_id,
        transport: httpx.BaseTransport | None = None,
        sleep: Callable[[float], None] = time.sleep,
        random: Callable[[], float] = random.random,
    ) -> None:
        self._config = ClientConfig(url, key, timeouts, retries, compress, request_id, random)
        self._sleep = sleep
        with sendable():
            self._http = httpx.Client(base_url=url, headers=self._config.headers(), transport=transport)

    search = method(endpoints.search)
    recommend = method(endpoints.recommend)
    similar = method(endpoints.similar)
    browse = method(endpoints.browse)
    popular = method(endpoints.popular)
    trending = method(endpoints.trending)
    latest = method(endpoints.latest)
    bought_together = method(endpoints.bought_together)
    similar_to_basket = method(endpoints.similar_to_basket)
    item = method(endpoints.item)
    put_item = method(endpoints.put_item)
    patch_item = method(endpoints.patch_item)
    put_items = method(endpoints.put_items)
    delete_item = method(endpoints.delete_item)
    suggest = method(endpoints.suggest)
    rerank = method(endpoints.rerank)
    put_synonyms = method(endpoints.put_synonyms)
    synonyms = method(endpoints.synonyms)
    synonym_set = method(endpoints.synonym_set)
    delete_synonyms = method(endpoints.delete_synonyms)
    schema = method(endpoints.schema)
    patch_schema = method(endpoints.patch_schema)
    put_override = method(endpoints.put_override)
    overrides = method(endpoints.overrides)
    override = method(endpoints.override)
    delete_override = method(endpoints.delete_override)
    history = method(endpoints.history)
    merge = method(endpoints.merge)
    erase = method(endpoints.erase)
    models = method(endpoints.models)
    model = method(endpoints.model)
    activate = method(endpoints.activate)
    roll_back = method(endpoints.roll_back)
    set_traffic = method(endpoints.set_traffic)
    clear_traffic = method(endpoints.clear_traffic)
    fleet = method(endpoints.fleet)
    keys = method(endpoints.keys)
    create_key = method(endpoints.create_key)
    revoke_key = method(endpoints.revoke_key)
    audit = method(endpoints.audit)
    analytics_queries = method(endpoints.analytics_queries)
    analytics_no_results = method(endpoints.analytics_no_results)
    analytics_no_clicks = method(endpoints.analytics_no_clicks)
    analytics_metrics = method(endpoints.analytics_metrics)
    analytics_experiment = method(endpoints.analytics_experiment)
    version = method(endpoints.version)
    ready = method(endpoints.ready)

    def send_events(self, events: Iterable[Event | Mapping[str, Any]]) -> Receipt:
        """Tells what users did, 1,000 events at a time. After an error the same events may be sent again.

        An event that cannot be sent, such as one with a NaN, is among the receipt's `rejected`; the others are sent.
        """
        parts = endpoints.events(events)
        return endpoints.joined([part if isinstance(part, Receipt) else self._send(part) for part in parts])

    def pages(self, question: Question) -> Iterator[Answer]:
        """All pages of an answer, the next one asked for when it is wanted."""
        wanted: Question | None = question
        while wanted is not None:
            answer = self._send(endpoints.ask(wanted))
            yield answer
            wanted = endpoints.following(wanted, answer)

    def batch(self, questions: Iterable[Question], *, ordered: bool = False) -> Iterator[BatchResult]:
        """Asks many questions at once; their results come as soon as each is ready or, if `ordered`, in order.

        10,000 go into a request; the next are taken from `questions` when those are answered. Closing the iterator ends
        the server's work.
        """
        for batch in batches(questions):
            with (
                contextlib.closing(self._respond(batch.call(ordered=ordered), stream=True)) as response,
                batch.reading(response),
            ):
                for chunk in response.iter_bytes():
                    yield from batch.take(chunk)
                batch.end()

    def import_items(
        self, records: Iterable[Mapping[str, Any]], *, action: Action = "upsert", dry_run: bool = False
    ) -> Iterator[ImportResult]:
        """Writes items, each with its `id`: 10,000 a request, a thousand at a time; a result for each, in order.

        `action`: "create" (new ones only), "upsert" (whole), "update" (the columns that each names) or "emplace"
        (as update, or new). `dry_run` only checks. Closing the iterator ends the import.
        """
        for part in imports(records):
            yield from self._imported(part, part.call(action, dry_run=dry_run))

    def import_synonyms(self, sets: Iterable[Mapping[str, Any]]) -> Iterator[ImportResult]:
        """Writes sets of synonyms, each with its `id`, a thousand as one change; a result for each, in order."""
        for part in imports(sets):
            yield from self._imported(part, part.call_of("/synonyms/import"))

    def import_overrides(self, overrides: Iterable[Mapping[str, Any]]) -> Iterator[ImportResult]:
        """Writes overrides, each with its `id`, a thousand as one change; a result for each, in order."""
        for part in imports(overrides):
            yield from self._imported(part, part.call_of("/overrides/import"))

    def _imported(self, part: Import, call: Call[None]) -> Iterator[ImportResult]:
        with (
            contextlib.closing(self._respond(call, stream=True)) as response,
            part.reading(response),
        ):
            for chunk in response.iter_bytes():
                yield from part.take(chunk)
            part.end()

    def export_items(
        self,
        *,
        filter: str | None = None,  # noqa: A002 - the server's word
        fields: Iterable[str] | None = None,
    ) -> Iterator[Item]:
        """All items that the catalog has when it begins, available or not, as an import takes them."""
        export = Export()
        with (
            contextlib.closing(self._respond(export.call(filter, fields), stream=True)) as response,
            export.reading(response),
        ):
            for chunk in response.iter_bytes():
                yield from export.take(chunk)
            export.end()

    def close(self) -> None:
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Client({self._config.url!r})"

    def _send(self, call: Call[T]) -> T:
        try:
            response = self._respond(call)
        except ApiError as error:
            return call.rescue(error)
        return call.read(parse(response.content) if response.content else None)

    def _respond(self, call: Call[Any], *, stream: bool = False) -> httpx.Response:
        """A successful response; one that streams has not been read and is the caller's to close."""
        attempts, request_id = self._config.attempts(call), self._config.request_id()
        while True:
            with sendable():
                request = self._http.build_request(**self._config.request(call, request_id))
            outcome: httpx.Response | httpx.RequestError
            try:
                outcome = self._http.send(request, stream=stream)
                if stream and not outcome.is_success:
                    outcome.read()
            except httpx.RequestError as error:
                outcome = error
            pause = attempts.pause_after(outcome, request_id)
            if pause is None:
                assert isinstance(outcome, httpx.Response)
                return outcome
            self._sleep(pause)
