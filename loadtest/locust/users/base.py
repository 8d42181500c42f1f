"""The base class of all simulated users: it sends requests, checks every answer and records the result.

A visit is a generator that yields after every step how long to pause, in parts of the profile's think time. A user who
is stopped therefore stops between two requests, and every request that was counted has its answer.
"""

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, ClassVar
from urllib.parse import quote, urlencode

from locust import FastHttpUser, task
from locust.env import Environment

from loadtest.locust.oracle.checks import check_answer, check_history, check_item, check_receipt
from loadtest.locust.oracle.expected_catalog import Interval
from loadtest.locust.oracle.fault import Fault
from loadtest.locust.oracle.query import Query
from loadtest.locust.oracle.suggestion_checks import check_suggestions
from loadtest.locust.results import Sample, Verdict, classify
from loadtest.locust.scenario import Scenario

__all__ = ["LOOKING", "PAGES", "TYPING", "Reply", "ShopUser"]

LOOKING, TYPING = 1.0, 0.2
"""Pauses to look at an answer and to type, in parts of the think time."""
HISTORY_LIMIT = 50
PAGES = 3
SUGGESTIONS = 20
"""So many that all of this run's own queries are among them."""
LISTS = {"fields", "facets"}
"""Parameters whose values stand between commas in a URL."""
ROUTES = {"search": "/search", "recommend": "/recommend", "similar": "/items/{item_id}/similar", "browse": "/items"}
UNREADABLE = (KeyError, TypeError, ValueError, IndexError, AttributeError)


@dataclass(frozen=True, slots=True)
class Reply:
    """The answer to one request.

    body: the JSON that was read; None where the answer was none.
    """

    status: int
    body: Any
    during: Interval


Check = Callable[[Reply], list[Fault]]


class ShopUser(FastHttpUser):
    """A simulated user. A subclass says in `visit` what they do."""

    abstract = True
    network_timeout = 90.0  # longer than the server waits, so that every request is answered and counted
    scenario: ClassVar[Scenario]

    def __init__(self, environment: Environment) -> None:
        super().__init__(environment)
        self._visit: Iterator[float] = iter(())
        self._pause = 0.0

    def wait_time(self) -> float:
        """Seconds until the next step, exponentially distributed. Locust calls this."""
        scenario = self.scenario
        return float(scenario.generator.exponential(max(self._pause, 1e-3) * scenario.profile.think_seconds))

    @task
    def step(self) -> None:
        """The next step of the visit, or the beginning of another one. Locust calls this."""
        try:
            self._pause = next(self._visit)
        except StopIteration:
            self._visit = self.visit()
            self._pause = LOOKING

    def visit(self) -> Iterator[float]:
        """Everything the user does in one visit; yields a pause after every step."""
        raise NotImplementedError

    def fetch(
        self,
        method: str,
        route: str,
        check: Check,
        *,
        path: str | None = None,
        body: object = None,
        lines: list[Any] | None = None,
        expected: tuple[int, ...] = (200,),
    ) -> Reply | None:
        """Send a request, check its answer and record both.

        route: the name under which the request is counted.
        path: the path where it is not the route.
        body: sent as JSON.
        lines: sent as lines of JSON; the answer is read as such, too.
        expected: the statuses that are an answer.
        Returns None where there was no answer or it had another status.
        """
        began, at = time.monotonic(), time.time()
        with self.client.request(
            method, path or route, name=route, catch_response=True, **_request_body(body, lines)
        ) as response:
            during = Interval(began, time.monotonic())
            found = _read(response.content or b"", lines is not None)
            reply = Reply(int(response.status_code or 0), found, during)
            faults = _faults(check, reply) if reply.status in expected else []
            verdict = self._record(response, (at, method, route), reply, faults, frozenset(expected))
            if verdict in {"ok", "degraded"}:
                response.success()
            else:
                response.failure(f"{verdict}: {', '.join(sorted({fault.rule for fault in faults})) or reply.status}")
        return reply if reply.status in expected else None

    def ask(self, query: Query, *, by_post: bool = False) -> dict[str, Any] | None:
        """The body of the answer to a query."""
        scenario, route = self.scenario, ROUTES[query.kind]

        def check(reply: Reply) -> list[Fault]:
            if reply.status == 404:
                return check_item(query.item or "", 404, reply.body, reply.during, scenario.catalog)
            return self.check_answer(query, reply.body, reply.during)

        if by_post or query.history is not None:
            reply = self.fetch("POST", route, check, body=query.parameters())
        else:
            path = route.replace("{item_id}", quote(query.item or "", safe=""))
            expected = (200,) if query.item is None else (200, 404)
            reply = self.fetch(
                "GET", route, check, path=f"{path}?{_url_encoded(query.parameters())}", expected=expected
            )
        return reply.body if reply is not None and reply.status == 200 and isinstance(reply.body, dict) else None

    def check_answer(self, query: Query, body: dict[str, Any], during: Interval) -> list[Fault]:
        """All faults of an answer."""
        scenario = self.scenario
        return check_answer(query, body, during, scenario.catalog, scenario.histories, scenario.prior)

    def scroll(self, query: Query, pages: int = PAGES) -> Iterator[dict[str, Any]]:
        """The pages of an answer, one after another; fewer where there are no more."""
        by_post = query.kind != "browse" and self.scenario.chance(0.2)
        for _ in range(pages):
            body = self.ask(query, by_post=by_post)
            if body is None:
                return
            yield body
            if body["next_cursor"] is None:
                return
            shown = query.shown + tuple(item["id"] for item in body["items"])
            query = replace(query, cursor=body["next_cursor"], shown=shown)

    def act(self, user: str, body: dict[str, Any] | None, query: str | None = None, kind: str = "click") -> str | None:
        """Send an event about one of an answer's items, the upper ones more often; returns the item's id."""
        scenario = self.scenario
        ids = [item["id"] for item in body["items"]] if body is not None else []
        known = [item_id for item_id in ids if item_id in scenario.published]
        if body is None or not known:
            return None
        place = min(int(scenario.generator.exponential(3.0)), len(known) - 1)
        event = scenario.histories.send(user, known[place], kind, query)
        scenario.typed.send(event)
        sent = event.body(body["request_id"])
        repeated: set[str] = set()

        def check(reply: Reply) -> list[Fault]:
            return check_receipt([event], repeated, reply.body)

        for _ in range(2 if scenario.chance(0.1) else 1):  # some clients lose the answer and send the event again
            if self.fetch("POST", "/events", check, body=sent, expected=(202,)) is None:
                break  # it may have been written, so a repetition could be accepted or a duplicate
            scenario.results.events["duplicate" if repeated else "accepted"] += 1
            scenario.histories.acknowledge(event)
            scenario.typed.acknowledge(event)
            repeated.add(event.event_id)
        return event.item_id

    def suggest(self, typed: str) -> None:
        """Ask how what was typed so far may go on."""
        scenario = self.scenario
        case = scenario.draw_filter() if scenario.chance(0.2) else None

        def check(reply: Reply) -> list[Fault]:
            allowed = scenario.catalog.allowed(reply.during, case, excluded=set(), possibly_excluded=set())
            begun, renewed = reply.during.begin, scenario.renewed
            given = (typed, SUGGESTIONS, reply.body, allowed, scenario.typed, begun)
            return [*check_suggestions(*given, renewed=renewed)]

        asked = {"q": typed, "k": SUGGESTIONS} | ({} if case is None else {"filter": case.text})
        self.fetch("GET", "/suggest", check, path=f"/suggest?{urlencode(asked)}")

    def look_back(self, user: str) -> None:
        """Read the user's own history."""

        def check(reply: Reply) -> list[Fault]:
            return check_history(user, HISTORY_LIMIT, reply.body, reply.during.begin, self.scenario.histories)

        path = f"/users/{quote(user, safe='')}/history?limit={HISTORY_LIMIT}"
        self.fetch("GET", "/users/{user}/history", check, path=path)

    def look_at(self, item_id: str) -> None:
        """Read one item, which may have been deleted."""

        def check(reply: Reply) -> list[Fault]:
            return check_item(item_id, reply.status, reply.body, reply.during, self.scenario.catalog)

        path = f"/items/{quote(item_id, safe='')}"
        self.fetch("GET", "/items/{item_id}", check, path=path, expected=(200, 404))

    def _record(
        self,
        response: Any,
        what: tuple[float, str, str],
        reply: Reply,
        faults: list[Fault],
        expected: frozenset[int],
    ) -> Verdict:
        """Add the request to the results. what: when it was sent, in Unix seconds, its method and its route."""
        headers = response.headers or {}
        body = reply.body if isinstance(reply.body, dict) else {}
        degraded = body.get("degraded") is True
        results = self.scenario.results
        if reply.status not in expected and "code" in body:
            results.codes[body["code"]] += 1
        retry_after = "Retry-After" in headers
        verdict = classify(reply.status, expected, retry_after=retry_after, degraded=degraded, faults=bool(faults))
        sample = Sample(*what, float(response.request_meta["response_time"]), reply.status, degraded, verdict)
        results.add(sample, faults, headers.get("X-Request-ID"))
        return verdict

    def search(self, q: str, **who: Any) -> Query:
        """A search for these words, with the options that people use: filters, orders, counts, fewer columns, unseen
        items only."""
        scenario = self.scenario
        sort_by = scenario.draw_order() if scenario.chance(0.2) else ()
        return Query(
            kind="search",
            q=q,
            k=int(scenario.generator.choice([5, 10, 10, 20])),
            filter=scenario.draw_filter() if scenario.chance(0.3) else None,
            exclude_seen=scenario.chance(0.2),
            fields=("title", "price") if scenario.chance(0.3) and not sort_by else None,
            sort_by=sort_by,
            facets=scenario.draw_facets() if scenario.chance(0.3) else (),
            disjunctive=scenario.chance(0.5),
            explain=scenario.chance(0.05),
            guidance=False if scenario.chance(0.1) else None,
            **who,
        )


def _request_body(body: object, lines: list[Any] | None) -> dict[str, Any]:
    if lines is not None:
        data = "\n".join(json.dumps(line) for line in lines)
        return {"data": data, "headers": {"Content-Type": "application/x-ndjson"}}
    return {} if body is None else {"json": body}


def _read(content: bytes, by_line: bool) -> Any:
    """The JSON of an answer; None where it is no JSON."""
    try:
        return [json.loads(line) for line in content.splitlines()] if by_line else json.loads(content)
    except ValueError:
        return None


def _faults(check: Check, reply: Reply) -> list[Fault]:
    try:
        return check(reply)
    except UNREADABLE as error:
        return [Fault("shape", f"{error!r} while reading {str(reply.body)[:1000]}")]


def _url_encoded(parameters: dict[str, Any]) -> str:
    def text_of(name: str, value: Any) -> Any:
        if isinstance(value, bool):
            return str(value).lower()
        return ",".join(value) if name in LISTS else value

    return urlencode({name: text_of(name, value) for name, value in parameters.items()}, doseq=True)
