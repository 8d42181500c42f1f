"""Many questions in one request: lines of JSON out, and lines of JSON back, each as soon as it is answered."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import httpx

from gemserve_client.endpoints import Call
from gemserve_client.errors import ApiError, ConnectionFailed, InvalidArgument, UnexpectedAnswer
from gemserve_client.queries import Question
from gemserve_client.responses import Answer
from gemserve_client.retries import failure, problem_of
from gemserve_client.values.decode import parse, read

__all__ = ["NDJSON", "REQUEST_ID", "Batch", "BatchResult", "batches"]

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


class Batch:
    """One request's questions, and what is still to come for them."""

    def __init__(self, questions: Sequence[Question], start: int) -> None:
        self._questions = questions
        self._start = start
        self._waiting = set(range(len(questions)))
        self._rest = b""

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

    @contextlib.contextmanager
    def reading(self, response: httpx.Response) -> Iterator[None]:
        """Turns httpx's errors while the answer is read into ours."""
        try:
            yield
        except httpx.RequestError as error:
            raise failure(error, response.request.headers[REQUEST_ID]) from error

    def take(self, chunk: bytes) -> Iterator[BatchResult]:
        """The results that a chunk of the answer completes."""
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        return (self._result(line) for line in lines if line.strip())

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


def batches(questions: Iterable[Question]) -> Iterator[Batch]:
    """One for every 10,000 questions, taken from the iterable when its turn comes."""
    rest = iter(questions)
    start = 0
    while part := list(islice(rest, MAX_LINES)):
        yield Batch(part, start)
        start += len(part)
