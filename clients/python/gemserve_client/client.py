"""The client that waits; its twin, which awaits, is async_client.py."""

from __future__ import annotations

import contextlib
import random
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from types import TracebackType
from typing import Any, Concatenate, ParamSpec, Self, TypeVar

import httpx

from gemserve_client import calls
from gemserve_client.answers import Answer, Receipt
from gemserve_client.batches import BatchResult, batches
from gemserve_client.calls import Call
from gemserve_client.errors import ApiError
from gemserve_client.events import Event
from gemserve_client.questions import Question
from gemserve_client.reading import parse
from gemserve_client.retries import RETRIES, Retries
from gemserve_client.terms import TIMEOUTS, Terms, Timeouts, new_request_id

__all__ = ["Client"]

P = ParamSpec("P")
T = TypeVar("T")


def method(make: Callable[P, Call[T]]) -> Callable[Concatenate[Client, P], T]:
    """A method that makes a call and returns what it answers."""

    def send(self: Client, /, *arguments: P.args, **options: P.kwargs) -> T:
        return self._send(make(*arguments, **options))

    calls.describe(send, make)
    return send


class Client:
    """A server's client; threads may share one. Use it in a `with` statement, or `close` it.

    `request_id` is asked for an id for every request, which the server writes into its log and its answer. `transport`
    is httpx's, for TLS and proxies of your own; `sleep` and `random` are for tests. Every method raises GemserveError.
    """

    def __init__(
        self,
        url: str,
        *,
        key: str | None = None,
        timeouts: Timeouts = TIMEOUTS,
        retries: Retries = RETRIES,
        request_id: Callable[[], str] = new_request_id,
        transport: httpx.BaseTransport | None = None,
        sleep: Callable[[float], None] = time.sleep,
        random: Callable[[], float] = random.random,
    ) -> None:
        self._terms = Terms(url, key, timeouts, retries, request_id, random)
        self._sleep = sleep
        self._http = httpx.Client(base_url=url, headers=self._terms.headers(), transport=transport)

    search = method(calls.search)
    recommend = method(calls.recommend)
    similar = method(calls.similar)
    item = method(calls.item)
    put_item = method(calls.put_item)
    put_items = method(calls.put_items)
    delete_item = method(calls.delete_item)
    history = method(calls.history)
    merge = method(calls.merge)
    erase = method(calls.erase)
    models = method(calls.models)
    activate = method(calls.activate)
    roll_back = method(calls.roll_back)
    set_traffic = method(calls.set_traffic)
    clear_traffic = method(calls.clear_traffic)
    keys = method(calls.keys)
    create_key = method(calls.create_key)
    revoke_key = method(calls.revoke_key)
    version = method(calls.version)
    ready = method(calls.ready)

    def send_events(self, events: Sequence[Event]) -> Receipt:
        """Tells what users did, 1,000 events at a time. After an error the same events may be sent again."""
        return calls.joined([self._send(call) for call in calls.events(events)])

    def pages(self, question: Question) -> Iterator[Answer]:
        """All pages of an answer, the next one asked for when it is wanted."""
        wanted: Question | None = question
        while wanted is not None:
            answer = self._send(calls.ask(wanted))
            yield answer
            wanted = calls.following(wanted, answer)

    def batch(self, questions: Iterable[Question]) -> Iterator[BatchResult]:
        """Asks many questions at once; their results come in the order in which they are ready.

        10,000 go into a request; the next are taken from `questions` when those are answered. Closing the iterator ends
        the server's work.
        """
        for batch in batches(questions):
            with contextlib.closing(self._respond(batch.call(), stream=True)) as response, batch.reading(response):
                for chunk in response.iter_bytes():
                    yield from batch.take(chunk)
                batch.end()

    def close(self) -> None:
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Client({self._terms.url!r})"

    def _send(self, call: Call[T]) -> T:
        try:
            response = self._respond(call)
        except ApiError as error:
            return call.rescue(error)
        return call.read(parse(response.content) if response.content else None)

    def _respond(self, call: Call[Any], *, stream: bool = False) -> httpx.Response:
        """A successful response; one that streams has not been read and is the caller's to close."""
        attempts, request_id = self._terms.attempts(call), self._terms.request_id()
        while True:
            request = self._http.build_request(**self._terms.request(call, request_id))
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
