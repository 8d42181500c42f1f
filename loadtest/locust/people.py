"""Who comes to the shop: people who type, search, scroll, click and buy, and a job that asks in bulk."""

import time
from collections.abc import Iterator
from urllib.parse import quote

from loadtest.locust.asked import Asked
from loadtest.locust.customer import LOOKING, PAGES, TYPING, Customer, Reply
from loadtest.locust.verdicts import Fault, judge_answer, judge_item

__all__ = ["Mailer", "Newcomer", "Shopper", "Visitor"]


class Shopper(Customer):
    """Somebody with an account, one of many, and a few of them come again and again."""

    weight = 6

    def visit(self) -> Iterator[float]:
        shop = self.shop
        person = shop.users.draw()
        if shop.chance(0.6):
            body = self.ask(Asked(kind="recommend", user=person, exclude_seen=True), by_post=shop.chance(0.2))
            yield LOOKING
            self.act(person, body)
            yield LOOKING
        for _ in range(int(shop.generator.integers(1, 3))):
            yield from self._find(person, shop.queries.draw())
        if shop.chance(0.6):
            self.look_back(person)
            yield LOOKING

    def _find(self, person: str, query: str) -> Iterator[float]:
        shop = self.shop
        for typed in _typed(query):
            self.ask(Asked(kind="search", query=typed, k=5, user=person, fields=("title",)))
            yield TYPING
        pages = []
        for page in self.scroll(self.search(query, user=person), PAGES if shop.chance(0.4) else 1):
            pages.append(page)
            yield LOOKING
        item_id = self.act(person, pages[-1] if pages else None, query)
        if item_id is None:
            return
        self.look_at(item_id)
        yield LOOKING
        if shop.chance(0.3):
            body = self.ask(Asked(kind="similar", about=item_id))
            yield LOOKING
            self.act(person, body, kind="purchase")


class Visitor(Customer):
    """Somebody without an account, known by a session or by what their page remembers; some sign in."""

    weight = 3

    def visit(self) -> Iterator[float]:
        shop = self.shop
        session = shop.new_name("session")
        past = (shop.items.draw(), shop.items.draw())
        self.ask(Asked(kind="recommend", past=past, exclude_seen=True))
        yield LOOKING
        query = shop.queries.draw()
        for _ in range(2):
            body = self.ask(self.search(query, session=session))
            yield LOOKING
            self.act(session, body, query)
            yield TYPING
        self.ask(Asked(kind="recommend", session=session, exclude_seen=True))
        yield LOOKING
        if shop.chance(0.4):
            yield from self._sign_in(shop.users.draw(), session)

    def _sign_in(self, person: str, session: str) -> Iterator[float]:
        ledger = self.shop.ledger
        self.ask(Asked(kind="recommend", user=person, session=session, exclude_seen=True))
        due, most = ledger.begin_merge(person, session), len(ledger.possible(session))

        def judge(reply: Reply) -> list[Fault]:
            moved = reply.body["moved"]
            return [] if len(due) <= moved <= most else [Fault("merge", f"{moved} of {len(due)} events were moved")]

        path = f"/users/{quote(person, safe='')}/merge"
        if self.fetch("POST", "/users/{user}/merge", judge, path=path, body={"session": session}) is not None:
            ledger.end_merge(session, due)
        yield LOOKING
        self.look_back(person)
        self.look_back(session)
        yield LOOKING


class Newcomer(Customer):
    """Somebody of whom nothing is known yet; some want to be forgotten."""

    weight = 1

    def visit(self) -> Iterator[float]:
        shop = self.shop
        person = shop.new_name("newcomer")
        for _ in range(3):
            body = self.ask(Asked(kind="recommend", user=person, exclude_seen=True, explain=shop.chance(0.2)))
            yield LOOKING
            self.act(person, body, kind="view")
            yield TYPING
        self.look_back(person)
        if shop.chance(0.4):
            self._leave(person)
            yield LOOKING
            self.look_back(person)
            self.ask(Asked(kind="recommend", user=person, exclude_seen=True))
        yield LOOKING

    def _leave(self, person: str) -> None:
        ledger = self.shop.ledger
        due, most = len(ledger.certain(person, time.monotonic())), len(ledger.possible(person))
        ledger.begin_erasure(person)

        def judge(reply: Reply) -> list[Fault]:
            erased = reply.body["events_erased"]
            return [] if due <= erased <= most else [Fault("erasure", f"{erased} of {due} events were erased")]

        path = f"/users/{quote(person, safe='')}"
        if self.fetch("DELETE", "/users/{user}", judge, path=path) is not None:
            ledger.end_erasure(person)


class Mailer(Customer):
    """A job that asks for many people at once."""

    weight = 1

    def visit(self) -> Iterator[float]:
        shop = self.shop
        asked = [Asked(kind="recommend", user=shop.users.draw(), exclude_seen=True, k=3) for _ in range(4)]
        asked += [Asked(kind="similar", about=shop.items.draw(), k=3), self.search(shop.queries.draw())]
        lines = [{"kind": one.kind, "item": one.about, **one.parameters()} for one in asked]
        lines = [{name: value for name, value in line.items() if value is not None} for line in lines]
        self.fetch("POST", "/batch", lambda reply: self._judge(asked, reply), lines=lines)
        yield 5 * LOOKING

    def _judge(self, asked: list[Asked], reply: Reply) -> list[Fault]:
        shop = self.shop
        if sorted(line["index"] for line in reply.body) != list(range(len(asked))):
            return [Fault("batch", f"{len(asked)} lines were sent, these came back: {reply.body}")]
        faults = []
        for line in reply.body:
            one = asked[line["index"]]
            if "answer" in line:
                faults += judge_answer(one, line["answer"], reply.during, shop.stock, shop.ledger)
            elif line["problem"]["status"] in {503, 504}:
                shop.record.codes[line["problem"]["code"]] += 1
            elif one.about is not None and line["problem"]["status"] == 404:
                faults += judge_item(one.about, 404, line["problem"], reply.during, shop.stock)
            else:
                faults.append(Fault("batch", f"a line was refused: {line['problem']}"))
        return faults


def _typed(query: str) -> list[str]:
    """What a page asks for while somebody types: after a few letters, and at the end of the first word."""
    first = query.split(maxsplit=1)[0]
    return list(dict.fromkeys(part for part in (query[:3].strip(), first) if part and part != query))
