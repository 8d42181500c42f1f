"""Many questions or items in one request: lines of JSON out, and lines of JSON back, each as soon as it is made."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Literal

import httpx

from gemserve_client.endpoints import Call, Repeat
from gemserve_client.errors import ApiError, ConnectionFailed, InvalidArgument, UnexpectedAnswer
from gemserve_client.queries import Question
from gemserve_client.responses import Answer, Item
from gemserve_client.retries import failure, problem_of
from gemserve_client.values.decode import parse, read
from gemserve_client.values.plain import plain, plain_list, plain_record

__all__ = [
    "NDJSON",
    "REQUEST_ID",
    "Action",
    "Batch",
    "BatchResult",
    "Export",
    "Import",
    "ImportResult",
    "batches",
    "imports",
]

MAX_LINES = 10_000  # of one request
NDJSON = "application/x-ndjson"
REQUEST_ID = "X-Request-ID"


@dataclass(frozen=True, slots=True)
class BatchResult:
    """What came of one question, the `index`-th of those that were asked: an answer or an error."""

    index: int
    question: Question
    answer: Answer | None
    error: ApiError | None

    def unwrap(self) -> Answer:
        """The answer. Raises the error where there is none."""
        if self.answer is None:
            assert self.error is not None
            raise self.error
        return self.answer


class Lines:
    """The lines of an answer that comes in chunks."""

    def __init__(self) -> None:
        self._rest = b""

    @contextlib.contextmanager
    def reading(self, response: httpx.Response) -> Iterator[None]:
        """Turns httpx's errors while the answer is read into ours."""
        try:
            yield
        except httpx.RequestError as error:
            raise failure(error, response.request.headers[REQUEST_ID]) from error

    def _completed(self, chunk: bytes) -> list[bytes]:
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        return [line for line in lines if line.strip()]


class Batch(Lines):
    """One request's questions, and what is still to come for them."""

    def __init__(self, questions: Sequence[Question], start: int) -> None:
        super().__init__()
        self._questions = questions
        self._start = start
        self._waiting = set(range(len(questions)))

    def call(self, *, ordered: bool = False) -> Call[None]:
        lines = [self._line(index, question) for index, question in enumerate(self._questions)]
        query = {"ordered": "true"} if ordered else {}
        return Call("POST", "/batch", lambda _: None, query, body="\n".join(lines).encode())

    def _line(self, index: int, question: Question) -> str:
        try:
            return json.dumps({"kind": question.kind} | question.parameters(), ensure_ascii=False, allow_nan=False)
        except (InvalidArgument, AttributeError) as error:
            advice = error if isinstance(error, InvalidArgument) else f"is a {type(question).__name__}: give a Search"
            raise InvalidArgument(f"question {self._start + index}: {advice}") from error

    def take(self, chunk: bytes) -> Iterator[BatchResult]:
        """The results that a chunk of the answer completes."""
        return (self._result(line) for line in self._completed(chunk))

    def end(self) -> None:
        """Raises ConnectionFailed where the answer ended before everything was answered."""
        if self._waiting or self._rest.strip():
            raise ConnectionFailed(f"the answer ended while {len(self._waiting):,} questions were not answered")

    def _result(self, line: bytes) -> BatchResult:
        row = parse(line)
        index = row.get("index") if isinstance(row, dict) else None
        if not isinstance(index, int) or index not in self._waiting or not row.keys() & {"answer", "problem"}:
            raise UnexpectedAnswer(f"a line of a batch answers no question: {line[:200]!r}")
        self._waiting.remove(index)
        place, question = self._start + index, self._questions[index]
        if "answer" in row:
            return BatchResult(place, question, read(Answer, row["answer"], f"answer {place}"), None)
        problem = row["problem"]
        status = problem.get("status") if isinstance(problem, dict) else None
        status = status if isinstance(status, int) else 500
        return BatchResult(place, question, None, problem_of(status, problem))


Action = Literal["create", "upsert", "update", "emplace"]


@dataclass(frozen=True, slots=True)
class ImportResult:
    """What came of one item, the `index`-th of those that were sent.

    `result` is "inserted", "replaced", "updated" or "unchanged", and None where there is an `error`.
    """

    index: int
    id: str | None
    result: str | None
    error: ApiError | None


class Import(Lines):
    """One request's items, and what is still to come for them."""

    def __init__(self, records: Sequence[Mapping[str, Any]], start: int) -> None:
        super().__init__()
        self._records = records
        self._start = start
        self._answered = 0

    def call(self, action: Action, *, dry_run: bool) -> Call[None]:
        lines = [self._line(index, record) for index, record in enumerate(self._records, self._start)]
        query = {"action": plain(action, "action")} | ({"dry_run": "true"} if dry_run else {})
        repeat = Repeat.UNDONE if action == "create" else Repeat.HARMLESS
        return Call("POST", "/items/import", lambda _: None, query, body="\n".join(lines).encode(), repeat=repeat)

    def call_of(self, path: str) -> Call[None]:
        """For synonyms and overrides, which are written whole."""
        lines = (self._line(self._start + i, record) for i, record in enumerate(self._records))
        return Call("POST", path, lambda _: None, body="\n".join(lines).encode(), repeat=Repeat.HARMLESS)

    def _line(self, index: int, record: Mapping[str, Any]) -> str:
        return json.dumps(plain_record(record, f"item {index}"), ensure_ascii=False, allow_nan=False)

    def take(self, chunk: bytes) -> Iterator[ImportResult]:
        """The results that a chunk of the answer completes."""
        return (self._result(line) for line in self._completed(chunk))

    def end(self) -> None:
        """Raises ConnectionFailed where the answer ended before everything was answered."""
        if self._rest.strip() or self._answered < len(self._records):
            unknown = len(self._records) - self._answered
            raise ConnectionFailed(f"the answer ended while {unknown:,} items were not answered: send them again")

    def _result(self, line: bytes) -> ImportResult:
        row = parse(line)
        if not isinstance(row, dict) or row.get("index") != self._answered or not row.keys() & {"result", "problem"}:
            raise UnexpectedAnswer(f"a line of an import answers no item: {line[:200]!r}")
        place = self._start + self._answered
        self._answered += 1
        problem = row.get("problem")
        if problem is None:
            return ImportResult(place, row.get("id"), row["result"], None)
        status = problem.get("status") if isinstance(problem, dict) else None
        return ImportResult(place, row.get("id"), None, problem_of(status if isinstance(status, int) else 500, problem))


class Export(Lines):
    """The items of an export."""

    def call(self, filter: str | None, fields: Iterable[str] | None) -> Call[None]:  # noqa: A002 - the server's word
        query: dict[str, Any] = {} if filter is None else {"filter": plain(filter, "filter")}
        if fields is not None:
            query["fields"] = plain_list(fields, "fields")
        return Call("GET", "/items/export", lambda _: None, query)

    def take(self, chunk: bytes) -> Iterator[Item]:
        """The items that a chunk of the answer completes."""
        return (read(Item, parse(line), "an item") for line in self._completed(chunk))

    def end(self) -> None:
        """Raises ConnectionFailed where the answer ended in the middle of an item."""
        if self._rest.strip():
            raise ConnectionFailed("the answer ended in the middle of an item")


def imports(records: Iterable[Mapping[str, Any]]) -> Iterator[Import]:
    """One for every 10,000 items, taken from the iterable when its turn comes."""
    rest = iter(records)
    start = 0
    while part := list(islice(rest, MAX_LINES)):
        yield Import(part, start)
        start += len(part)


def batches(questions: Iterable[Question]) -> Iterator[Batch]:
    """One for every 10,000 questions, taken from the iterable when its turn comes."""
    rest = iter(questions)
    start = 0
    while part := list(islice(rest, MAX_LINES)):
        yield Batch(part, start)
        start += len(part)
