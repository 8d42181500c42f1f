"""Somebody who sends requests: whatever is answered is judged and recorded.

A visit is a generator: it yields after every step how long to pause, in parts of the profile's think time. So whoever
is told to stop does so between two requests, and every request that was counted has its answer.
"""

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, ClassVar
from urllib.parse import quote, urlencode

from locust import FastHttpUser, task
from locust.env import Environment

from loadtest.locust.asked import Asked
from loadtest.locust.record import Sample, Verdict, classify
from loadtest.locust.shop import Shop
from loadtest.locust.stock import Interval
from loadtest.locust.verdicts import Fault, judge_answer, judge_history, judge_item, judge_receipt

__all__ = ["LOOKING", "PAGES", "TYPING", "Customer", "Reply"]

LOOKING, TYPING = 1.0, 0.2
HISTORY_LIMIT = 50
PAGES = 3
ROUTES = {"search": "/search", "recommend": "/recommend", "similar": "/items/{item_id}/similar"}
UNREADABLE = (KeyError, TypeError, ValueError, IndexError, AttributeError)


@dataclass(frozen=True, slots=True)
class Reply:
    status: int
    body: Any
    during: Interval


Judge = Callable[[Reply], list[Fault]]


class Customer(FastHttpUser):
    """Anybody who sends requests. A subclass says in `visit` what they do."""

    abstract = True
    network_timeout = 90.0  # longer than the server waits, so that nothing is asked that is not answered and counted
    shop: ClassVar[Shop]

    def __init__(self, environment: Environment) -> None:
        super().__init__(environment)
        self._visit: Iterator[float] = iter(())
        self._pause = 0.0

    def wait_time(self) -> float:
        return float(self.shop.generator.exponential(max(self._pause, 1e-3) * self.shop.profile.think_seconds))

    @task
    def step(self) -> None:
        try:
            self._pause = next(self._visit)
        except StopIteration:
            self._visit = self.visit()
            self._pause = LOOKING

    def visit(self) -> Iterator[float]:
        """Everything they do in one visit; another one follows."""
        raise NotImplementedError

    def fetch(
        self,
        method: str,
        route: str,
        judge: Judge,
        *,
        path: str | None = None,
        body: object = None,
        lines: list[Any] | None = None,
        expected: tuple[int, ...] = (200,),
    ) -> Reply | None:
        """The answer, judged and recorded; None where there was none, or another status than the expected ones."""
        began, at = time.monotonic(), time.time()
        with self.client.request(
            method, path or route, name=route, catch_response=True, **_sent(body, lines)
        ) as response:
            during = Interval(began, time.monotonic())
            found = _read(response.content or b"", lines is not None)
            reply = Reply(int(response.status_code or 0), found, during)
            faults = _judged(judge, reply) if reply.status in expected else []
            verdict = self._record(response, (at, method, route), reply, faults, frozenset(expected))
            if verdict in {"ok", "degraded"}:
                response.success()
            else:
                response.failure(f"{verdict}: {', '.join(sorted({fault.rule for fault in faults})) or reply.status}")
        return reply if reply.status in expected else None

    def ask(self, asked: Asked, *, by_post: bool = False) -> dict[str, Any] | None:
        """The body of the answer to a question."""
        shop, route = self.shop, ROUTES[asked.kind]

        def judge(reply: Reply) -> list[Fault]:
            if reply.status == 404:
                return judge_item(asked.about or "", 404, reply.body, reply.during, shop.stock)
            return judge_answer(asked, reply.body, reply.during, shop.stock, shop.ledger)

        if by_post or asked.past is not None:
            reply = self.fetch("POST", route, judge, body=asked.parameters())
        else:
            path = route.replace("{item_id}", quote(asked.about or "", safe=""))
            expected = (200,) if asked.about is None else (200, 404)
            reply = self.fetch(
                "GET", route, judge, path=f"{path}?{_url_encoded(asked.parameters())}", expected=expected
            )
        return reply.body if reply is not None and reply.status == 200 and isinstance(reply.body, dict) else None

    def scroll(self, asked: Asked, pages: int = PAGES) -> Iterator[dict[str, Any]]:
        """The pages of an answer, one after another; fewer where there are no more."""
        by_post = self.shop.chance(0.2)
        for _ in range(pages):
            body = self.ask(asked, by_post=by_post)
            if body is None:
                return
            yield body
            if body["next_cursor"] is None:
                return
            shown = asked.shown + tuple(item["id"] for item in body["items"])
            asked = replace(asked, cursor=body["next_cursor"], shown=shown)

    def act(
        self, person: str, body: dict[str, Any] | None, query: str | None = None, kind: str = "click"
    ) -> str | None:
        """Click one of an answer's items, the upper ones more often; the item."""
        shop = self.shop
        ids = [item["id"] for item in body["items"]] if body is not None else []
        known = [item_id for item_id in ids if item_id in shop.published]
        if body is None or not known:
            return None
        place = min(int(shop.generator.exponential(3.0)), len(known) - 1)
        entry = shop.ledger.send(person, known[place], kind, query)
        sent = entry.body(body["request_id"])
        repeated: set[str] = set()

        def judge(reply: Reply) -> list[Fault]:
            return judge_receipt([entry], repeated, reply.body)

        for _ in range(2 if shop.chance(0.1) else 1):  # as a client does that lost the receipt
            if self.fetch("POST", "/events", judge, body=sent, expected=(202,)) is None:
                break  # written or not: a repetition could be either
            shop.record.events["duplicate" if repeated else "accepted"] += 1
            shop.ledger.acknowledge(entry)
            repeated.add(entry.event_id)
        return entry.item_id

    def look_back(self, person: str) -> None:
        """See one's own history."""

        def judge(reply: Reply) -> list[Fault]:
            return judge_history(person, HISTORY_LIMIT, reply.body, reply.during.begin, self.shop.ledger)

        path = f"/users/{quote(person, safe='')}/history?limit={HISTORY_LIMIT}"
        self.fetch("GET", "/users/{user}/history", judge, path=path)

    def look_at(self, item_id: str) -> None:
        """See one item, or that it is gone."""

        def judge(reply: Reply) -> list[Fault]:
            return judge_item(item_id, reply.status, reply.body, reply.during, self.shop.stock)

        path = f"/items/{quote(item_id, safe='')}"
        self.fetch("GET", "/items/{item_id}", judge, path=path, expected=(200, 404))

    def _record(
        self,
        response: Any,
        what: tuple[float, str, str],
        reply: Reply,
        faults: list[Fault],
        expected: frozenset[int],
    ) -> Verdict:
        """What the answer counts as. what: when it was asked for, in Unix seconds, and method and route."""
        headers = response.headers or {}
        body = reply.body if isinstance(reply.body, dict) else {}
        degraded = body.get("degraded") is True
        if reply.status not in expected and "code" in body:
            self.shop.record.codes[body["code"]] += 1
        retry_after = "Retry-After" in headers
        verdict = classify(reply.status, expected, retry_after=retry_after, degraded=degraded, faults=bool(faults))
        sample = Sample(*what, float(response.request_meta["response_time"]), reply.status, degraded, verdict)
        self.shop.record.add(sample, faults, headers.get("X-Request-ID"))
        return verdict

    def search(self, query: str, **who: Any) -> Asked:
        """A search as people refine it: some with a filter, some without what they had, some for a few columns."""
        shop = self.shop
        return Asked(
            kind="search",
            query=query,
            k=int(shop.generator.choice([5, 10, 10, 20])),
            condition=shop.condition() if shop.chance(0.3) else None,
            exclude_seen=shop.chance(0.2),
            fields=("title", "price") if shop.chance(0.3) else None,
            explain=shop.chance(0.05),
            **who,
        )


def _sent(body: object, lines: list[Any] | None) -> dict[str, Any]:
    """Of a request: a body of JSON, or lines of it."""
    if lines is not None:
        data = "\n".join(json.dumps(line) for line in lines)
        return {"data": data, "headers": {"Content-Type": "application/x-ndjson"}}
    return {} if body is None else {"json": body}


def _read(content: bytes, by_line: bool) -> Any:
    """None where it is no JSON."""
    try:
        return [json.loads(line) for line in content.splitlines()] if by_line else json.loads(content)
    except ValueError:
        return None


def _judged(judge: Judge, reply: Reply) -> list[Fault]:
    try:
        return judge(reply)
    except UNREADABLE as error:
        return [Fault("shape", f"{error!r} while reading {str(reply.body)[:1000]}")]


def _url_encoded(parameters: dict[str, Any]) -> str:
    def text_of(name: str, value: Any) -> Any:
        if isinstance(value, bool):
            return str(value).lower()
        return ",".join(value) if name == "fields" else value

    return urlencode({name: text_of(name, value) for name, value in parameters.items()}, doseq=True)
