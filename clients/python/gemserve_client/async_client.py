"""The client that awaits, for asyncio; its twin, which waits, is client.py."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterable, Mapping
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

__all__ = ["AsyncClient"]

P = ParamSpec("P")
T = TypeVar("T")


def method(make: Callable[P, Call[T]]) -> Callable[Concatenate[AsyncClient, P], Awaitable[T]]:
    """A method that makes a call and returns what it answers."""

    async def send(self: AsyncClient, /, *arguments: P.args, **options: P.kwargs) -> T:
        return await self._send(make(*arguments, **options))

    endpoints.describe(send, make)
    return send


class AsyncClient:
    """As `Client`, for asyncio; tasks may share one. Use it in an `async with` statement, or `await` its `close`."""

    def __init__(
        self,
        url: str,
        *,
        key: str | None = None,
        timeouts: Timeouts = TIMEOUTS,
        retries: Retries = RETRIES,
        compress: bool = False,
        request_id: Callable[[], str] = new_request_id,
        transport: httpx.AsyncBaseTransport | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        random: Callable[[], float] = random.random,
    ) -> None:
        self._config = ClientConfig(url, key, timeouts, retries, compress, request_id, random)
        self._sleep = sleep
        with sendable():
            self._http = httpx.AsyncClient(base_url=url, headers=self._config.headers(), transport=transport)

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

    async def send_events(self, events: Iterable[Event | Mapping[str, Any]]) -> Receipt:
        """Tells what users did, 1,000 events at a time. After an error the same events may be sent again.

        An event that cannot be sent, such as one with a NaN, is among the receipt's `rejected`; the others are sent.
        """
        parts = endpoints.events(events)
        return endpoints.joined([part if isinstance(part, Receipt) else await self._send(part) for part in parts])

    async def pages(self, question: Question) -> AsyncIterator[Answer]:
        """All pages of an answer, the next one asked for when it is wanted."""
        wanted: Question | None = question
        while wanted is not None:
            answer = await self._send(endpoints.ask(wanted))
            yield answer
            wanted = endpoints.following(wanted, answer)

    async def batch(self, questions: Iterable[Question], *, ordered: bool = False) -> AsyncIterator[BatchResult]:
        """Asks many questions at once; their results come as soon as each is ready or, if `ordered`, in order.

        10,000 go into a request; the next are taken from `questions` when those are answered. Closing the iterator ends
        the server's work.
        """
        for batch in batches(questions):
            response = await self._respond(batch.call(ordered=ordered), stream=True)
            async with contextlib.aclosing(response):
                with batch.reading(response):
                    async for chunk in response.aiter_bytes():
                        for result in batch.take(chunk):
                            yield result
                batch.end()

    async def import_items(
        self, records: Iterable[Mapping[str, Any]], *, action: Action = "upsert", dry_run: bool = False
    ) -> AsyncIterator[ImportResult]:
        """Writes items, each with its `id`: 10,000 a request, a thousand at a time; a result for each, in order.

        `action`: "create" (new ones only), "upsert" (whole), "update" (the columns that each names) or "emplace"
        (as update, or new). `dry_run` only checks. Closing the iterator ends the import.
        """
        for part in imports(records):
            async with contextlib.aclosing(self._imported(part, part.call(action, dry_run=dry_run))) as results:
                async for result in results:
                    yield result

    async def import_synonyms(self, sets: Iterable[Mapping[str, Any]]) -> AsyncIterator[ImportResult]:
        """Writes sets of synonyms, each with its `id`, a thousand as one change; a result for each, in order."""
        for part in imports(sets):
            async with contextlib.aclosing(self._imported(part, part.call_of("/synonyms/import"))) as results:
                async for result in results:
                    yield result

    async def import_overrides(self, overrides: Iterable[Mapping[str, Any]]) -> AsyncIterator[ImportResult]:
        """Writes overrides, each with its `id`, a thousand as one change; a result for each, in order."""
        for part in imports(overrides):
            async with contextlib.aclosing(self._imported(part, part.call_of("/overrides/import"))) as results:
                async for result in results:
                    yield result

    async def _imported(self, part: Import, call: Call[None]) -> AsyncGenerator[ImportResult, None]:
        response = await self._respond(call, stream=True)
        async with contextlib.aclosing(response):
            with part.reading(response):
                async for chunk in response.aiter_bytes():
                    for result in part.take(chunk):
                        yield result
            part.end()

    async def export_items(
        self,
        *,
        filter: str | None = None,  # noqa: A002 - the word of the server
        fields: Iterable[str] | None = None,
    ) -> AsyncIterator[Item]:
        """All items that the catalog has when it begins, available or not, as an import takes them."""
        export = Export()
        response = await self._respond(export.call(filter, fields), stream=True)
        async with contextlib.aclosing(response):
            with export.reading(response):
                async for chunk in response.aiter_bytes():
                    for item in export.take(chunk):
                        yield item
            export.end()

    async def close(self) -> None:
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def __repr__(self) -> str:
        return f"AsyncClient({self._config.url!r})"

    async def _send(self, call: Call[T]) -> T:
        try:
            response = await self._respond(call)
        except ApiError as error:
            return call.rescue(error)
        return call.read(parse(response.content) if response.content else None)

    async def _respond(self, call: Call[Any], *, stream: bool = False) -> httpx.Response:
        """A successful response; one that streams has not been read and is the caller's to close."""
        attempts, request_id = self._config.attempts(call), self._config.request_id()
        while True:
            with sendable():
                request = self._http.build_request(**self._config.request(call, request_id))
            outcome: httpx.Response | httpx.RequestError
            try:
                outcome = await self._http.send(request, stream=stream)
                if stream and not outcome.is_success:
                    await outcome.aread()
            except httpx.RequestError as error:
                outcome = error
            pause = attempts.pause_after(outcome, request_id)
            if pause is None:
                assert isinstance(outcome, httpx.Response)
                return outcome
            await self._sleep(pause)
