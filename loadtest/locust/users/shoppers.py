"""The users who shop: they type, search, scroll, click and buy; and a job that sends its queries in bulk."""

import time
from collections.abc import Iterator
from urllib.parse import quote

from loadtest.locust.oracle.checks import check_item
from loadtest.locust.oracle.fault import Fault
from loadtest.locust.oracle.query import Query
from loadtest.locust.users.base import LOOKING, PAGES, TYPING, Reply, ShopUser

__all__ = ["Mailer", "Newcomer", "Shopper", "Visitor"]


class Shopper(ShopUser):
    """A user with an account; a few of them come again and again."""

    weight = 6

    def visit(self) -> Iterator[float]:
        scenario = self.scenario
        user = scenario.users.draw()
        if scenario.chance(0.6):
            seen = ("purchase", "cart") if scenario.chance(0.3) else True
            body = self.ask(Query(kind="recommend", user=user, exclude_seen=seen), by_post=scenario.chance(0.2))
            yield LOOKING
            self.act(user, body)
            if scenario.chance(0.1):
                self.act(user, body, kind="dislike")
            yield LOOKING
        if scenario.chance(0.5):
            own = scenario.own_queries.draw()
            self.act(user, self.ask(Query(kind="search", q=own, user=user, k=5)), own)
            self.suggest(scenario.typed.word)
            yield TYPING
        for _ in range(int(scenario.generator.integers(1, 3))):
            yield from self._find(user, scenario.queries.draw())
        if scenario.chance(0.6):
            self.look_back(user)
            yield LOOKING

    def _find(self, user: str, q: str) -> Iterator[float]:
        scenario = self.scenario
        for typed in _typed(q):
            self.suggest(typed)
            if scenario.chance(0.5):
                self.ask(Query(kind="search", q=typed, k=5, user=user, fields=("title",)))
            yield TYPING
        pages = []
        for page in self.scroll(self.search(q, user=user), PAGES if scenario.chance(0.4) else 1):
            pages.append(page)
            yield LOOKING
        item_id = self.act(user, pages[-1] if pages else None, q)
        if item_id is None:
            return
        self.look_at(item_id)
        yield LOOKING
        if scenario.chance(0.3):
            body = self.ask(Query(kind="similar", item=item_id))
            yield LOOKING
            self.act(user, body, kind="purchase")


class Visitor(ShopUser):
    """A user without an account, known by a session or by the history that their page sends; some sign in."""

    weight = 3

    def visit(self) -> Iterator[float]:
        scenario = self.scenario
        session = scenario.new_name("session")
        history = (scenario.items.draw(), scenario.items.draw())
        self.ask(Query(kind="recommend", history=history, exclude_seen=True, facets=scenario.draw_facets()))
        yield LOOKING
        yield from self._browse()
        q = scenario.queries.draw()
        for _ in range(2):
            body = self.ask(self.search(q, session=session))
            yield LOOKING
            self.act(session, body, q)
            yield TYPING
        self.ask(Query(kind="recommend", session=session, exclude_seen=True))
        yield LOOKING
        if scenario.chance(0.4):
            yield from self._sign_in(scenario.users.draw(), session)

    def _browse(self) -> Iterator[float]:
        """Look along a shelf, sorted or not, with the counts of its values."""
        scenario = self.scenario
        shelf = Query(
            kind="browse",
            filter=scenario.draw_filter() if scenario.chance(0.6) else None,
            sort_by=scenario.draw_order() if scenario.chance(0.6) else (),
            facets=scenario.draw_facets(),
            disjunctive=scenario.chance(0.5),
        )
        for _ in self.scroll(shelf, PAGES if scenario.chance(0.5) else 1):
            yield LOOKING

    def _sign_in(self, user: str, session: str) -> Iterator[float]:
        histories = self.scenario.histories
        self.ask(Query(kind="recommend", user=user, session=session, exclude_seen=True))
        due, most = histories.begin_merge(user, session), len(histories.possible(session))

        def check(reply: Reply) -> list[Fault]:
            moved = reply.body["moved"]
            return [] if len(due) <= moved <= most else [Fault("merge", f"{moved} of {len(due)} events were moved")]

        path = f"/users/{quote(user, safe='')}/merge"
        if self.fetch("POST", "/users/{user}/merge", check, path=path, body={"session": session}) is not None:
            histories.end_merge(session, due)
        yield LOOKING
        self.look_back(user)
        self.look_back(session)
        yield LOOKING


class Newcomer(ShopUser):
    """A user without any history yet; some ask to be erased."""

    weight = 1

    def visit(self) -> Iterator[float]:
        scenario = self.scenario
        user = scenario.new_name("newcomer")
        for _ in range(3):
            body = self.ask(Query(kind="recommend", user=user, exclude_seen=True, explain=scenario.chance(0.2)))
            yield LOOKING
            self.act(user, body, kind="view")
            yield TYPING
        self.look_back(user)
        if scenario.chance(0.4):
            self._erase(user)
            yield LOOKING
            self.look_back(user)
            self.ask(Query(kind="recommend", user=user, exclude_seen=True))
        yield LOOKING

    def _erase(self, user: str) -> None:
        histories = self.scenario.histories
        due, most = len(histories.certain(user, time.monotonic())), len(histories.possible(user))
        histories.begin_erasure(user)

        def check(reply: Reply) -> list[Fault]:
            erased = reply.body["events_erased"]
            return [] if due <= erased <= most else [Fault("erasure", f"{erased} of {due} events were erased")]

        path = f"/users/{quote(user, safe='')}"
        if self.fetch("DELETE", "/users/{user}", check, path=path) is not None:
            histories.end_erasure(user)


class Mailer(ShopUser):
    """A job that asks for many users at once, by POST /batch."""

    weight = 1

    def visit(self) -> Iterator[float]:
        scenario = self.scenario
        queries = [Query(kind="recommend", user=scenario.users.draw(), exclude_seen=True, k=3) for _ in range(4)]
        queries += [Query(kind="similar", item=scenario.items.draw(), k=3), self.search(scenario.queries.draw())]
        lines = [{"kind": query.kind, "item": query.item, **query.parameters()} for query in queries]
        lines = [{name: value for name, value in line.items() if value is not None} for line in lines]
        self.fetch("POST", "/batch", lambda reply: self._check(queries, reply), lines=lines)
        yield 5 * LOOKING

    def _check(self, queries: list[Query], reply: Reply) -> list[Fault]:
        scenario = self.scenario
        if sorted(line["index"] for line in reply.body) != list(range(len(queries))):
            return [Fault("batch", f"{len(queries)} lines were sent, these came back: {reply.body}")]
        faults = []
        for line in reply.body:
            query = queries[line["index"]]
            if "answer" in line:
                faults += self.check_answer(query, line["answer"], reply.during)
            elif line["problem"]["status"] in {503, 504}:
                scenario.results.codes[line["problem"]["code"]] += 1
            elif query.item is not None and line["problem"]["status"] == 404:
                faults += check_item(query.item, 404, line["problem"], reply.during, scenario.catalog)
            else:
                faults.append(Fault("batch", f"a line was refused: {line['problem']}"))
        return faults


def _typed(q: str) -> list[str]:
    """What a page asks for while somebody types: after a few letters, and at the end of the first word."""
    first = q.split(maxsplit=1)[0]
    return list(dict.fromkeys(part for part in (q[:3].strip(), first) if part and part != q))
